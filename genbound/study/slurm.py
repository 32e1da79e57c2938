"""A script for an array of cluster jobs, from the words of the command that runs the same here."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def script(words: Sequence[str], *, runs: int, tasks: int) -> str:
    """The script, to be handed to `sbatch`.

    Args:
        words: What stands after `genbound` in the command that does all runs on this machine.
        runs: How many runs it has.
        tasks: Jobs of the array, each with its part of the runs.

    Returns:
        The text. It does not matter from where it is handed in. Every task works in the same
        folder and leaves out what is done, so the same script goes on with what is missing.
    """
    tasks = min(tasks, runs)
    command = shlex.join([sys.executable, "-m", "genbound", *words])
    return f"""#!/bin/bash
#SBATCH --job-name=genbound
#SBATCH --array=0-{tasks - 1}
#SBATCH --cpus-per-task=1
#SBATCH --output=genbound-%A-%a.log
# {runs} runs in {tasks} parts. Set time, memory, partition and GPU as the cluster asks for.
cd {shlex.quote(str(Path.cwd()))}
{command} --part "$SLURM_ARRAY_TASK_ID/{tasks}"
"""
