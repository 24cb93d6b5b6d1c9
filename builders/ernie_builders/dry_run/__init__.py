"""`--dry-run`: what a build would do."""
