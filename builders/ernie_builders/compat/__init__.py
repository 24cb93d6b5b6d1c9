"""`--compat FORMAT`: ensembles that another project's Triton clients can call as they are.

Each stands on a task of this repository and gives its answers under the other's names: the task's own ensemble is its
first step, so it follows every later version of the task. `paddlenlp` says what the models look like, `choice` which
task gets which name, `publish` puts them into the repository, `lint` checks them there.
"""
