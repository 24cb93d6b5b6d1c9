"""The REST gateway: JSON over HTTP for every task of a Triton server, and a page to try them on."""
