"""Files for clusters: they parse, what they name exists, and the batch script ends as it says."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.documents import ROOT, read, wrong_command

DEPLOY = ROOT / "deploy"
BATCH = DEPLOY / "slurm.sbatch"
# Of sbatch(1); a name that Slurm does not know ends a job before it begins.
SBATCH = {
    "job-name", "nodes", "ntasks-per-node", "gpus-per-task", "cpus-per-task", "time", "signal", "requeue",
    "open-mode", "output",
}  # fmt: skip


# Docker ---------------------------------------------------------------------------------------------------


def test_the_image_takes_what_there_is() -> None:
    text = read(DEPLOY / "Dockerfile")
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert copied and all((ROOT / name).exists() for name in copied)
    kept = re.findall(r"^!(\S+)$", read(ROOT / ".dockerignore"), re.MULTILINE)
    assert sorted(kept) == sorted(copied) and read(ROOT / ".dockerignore").splitlines()[1] == "*"
    arguments = re.findall(r"^ARG (\w+)=", text, re.MULTILINE)
    assert arguments == ["BASE", "TORCH_INDEX", "EXTRAS"]
    assert all(f"${{{name}}}" in text for name in arguments)
    told = re.findall(r"--build-arg (\w+)=", text)
    assert told and set(told) <= set(arguments)
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert '["vrft"]' in text and "vrft" in project["scripts"]
    base = re.search(r"^ARG BASE=python:(\d+\.\d+)", text, re.MULTILINE)
    assert base is not None and project["requires-python"] == f">={base[1]}"


# Slurm ----------------------------------------------------------------------------------------------------


def test_options_of_the_batch_script_are_slurms() -> None:
    text = read(BATCH)
    given = re.findall(r"^#SBATCH --([\w-]+)", text, re.MULTILINE)
    assert set(given) == SBATCH
    (line,) = re.findall(r"^srun (?:--\S+ )*(vrft .*?) \|\|", text, re.MULTILINE)
    assert wrong_command(line.replace('"$recipe" "$@"', "my.yaml").replace('"$run"', "runs/mine")) is None


def run_batch(tmp_path: Path, code: int, starts: int, saves: bool) -> subprocess.CompletedProcess[str]:
    """The script with stand-ins for srun and scontrol that tell what they were called with."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    save = "mkdir -p runs/mine/checkpoints; touch runs/mine/checkpoints/new\n" if saves else ""
    for name, body in (("srun", f"sleep 0.1\n{save}exit {code}"), ("scontrol", "exit 0")):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*"\n{body}\n', "utf-8")
        (tmp_path / name).chmod(0o755)
    known = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(starts), "SLURM_CPUS_PER_TASK": "4"}
    return subprocess.run(
        [bash, str(BATCH), "my.yaml", "runs/mine", "seed=3"],
        env={**known, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("code", "starts", "saves", "ends", "back", "words"),
    [
        (0, 0, True, 0, False, "finished"),
        (2, 0, False, 2, False, "something has to be corrected first"),
        (143, 50, True, 0, True, "not finished (exit code 143), put back"),  # as often as it takes
        (143, 2, False, 0, True, "put back"),
        (
            143,
            3,
            False,
            143,
            False,
            "given up after 3 starts anew",
        ),  # the limit is too short for a checkpoint
        (137, 2, True, 0, True, "not finished (exit code 137), put back"),
        (137, 3, True, 137, False, "given up after 3 starts anew (exit code 137)"),
    ],
)
def test_the_batch_script_on_each_ending(
    code: int, starts: int, saves: bool, ends: int, back: bool, words: str, tmp_path: Path
) -> None:
    done = run_batch(tmp_path, code, starts, saves)
    assert done.returncode == ends and words in done.stdout
    assert ("scontrol requeue 7" in done.stdout) is back
    assert "srun --kill-on-bad-exit=1 vrft train my.yaml seed=3 --output runs/mine --resume" in done.stdout


def test_the_batch_script_wants_a_recipe_and_a_run() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    done = subprocess.run([bash, str(BATCH), "my.yaml"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "usage: sbatch deploy/slurm.sbatch RECIPE RUN" in done.stderr


# Kubernetes and SkyPilot ----------------------------------------------------------------------------------


def test_the_job_of_kubernetes_is_whole() -> None:
    job: dict[str, Any] = yaml.safe_load(read(DEPLOY / "pytorchjob.yaml"))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    pod = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"
    assert container["command"] == ["torchrun", "-m", "vrft_aug"]
    assert wrong_command(" ".join(["vrft", *container["args"]])) is None
    grace = {one["name"]: one["value"] for one in container["env"]}["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]
    assert int(grace) < pod["terminationGracePeriodSeconds"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == job["spec"]["nprocPerNode"]
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    assert f"useradd --create-home --uid {pod['securityContext']['runAsUser']}" in read(DEPLOY / "Dockerfile")


def test_the_task_of_skypilot_is_whole() -> None:
    task: dict[str, Any] = yaml.safe_load(read(DEPLOY / "sky.yaml"))
    joined = task["run"].replace("\\\n", " ")
    (line,) = re.findall(r"-m vrft_aug (.*)", joined)
    assert (
        wrong_command("vrft " + line.replace('"$RECIPE"', "my.yaml").replace('"$RUN"', "runs/mine")) is None
    )
    used = set(re.findall(r"\$\{?([A-Z]+)\b", joined))
    assert used - {"SKYPILOT"} <= set(task["envs"])
    assert set(re.findall(r"\$(SKYPILOT_\w+)", joined)) == {
        "SKYPILOT_NODE_IPS", "SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK", "SKYPILOT_NUM_GPUS_PER_NODE",
    }  # fmt: skip
    assert joined.startswith("cd /data") and "/data" in task["file_mounts"]
    (constraint,) = re.findall(r"--constraint (\S+)", task["setup"])
    assert (ROOT / constraint).is_file()
