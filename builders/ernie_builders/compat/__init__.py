"""`--compat FORMAT`: ensembles that another project's Triton clients can call as they are.

Each gives the answers of a task of this repository under the other project's names. The task's own ensemble is its
first step, so it follows every later version of the task. `paddlenlp` says what the models look like, `choice` which
task gets which name, `publish` puts them into the repository, and `lint/compat.py` checks them there.
"""
