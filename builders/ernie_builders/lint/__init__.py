"""`ernie-triton lint`: is a model repository sound?"""
