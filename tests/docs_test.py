"""What docs/ shows to be copied is right."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from ml_lstm.distribution import distribution

DISTRIBUTED = (Path(__file__).parents[1] / "docs" / "distributed.md").read_text()


@pytest.fixture
def manifest():
    (text,) = re.findall(r"```yaml\n(.*?)```", DISTRIBUTED, re.DOTALL)
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_the_job_and_its_service_agree(manifest):
    service, job = manifest["Service"], manifest["Job"]
    template = job["spec"]["template"]["spec"]
    (container,) = template["containers"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    assert service["metadata"]["name"] == template["subdomain"]
    assert job["spec"]["completionMode"] == "Indexed"
    workers = int(container["env"][0]["value"])
    assert workers == job["spec"]["completions"] == job["spec"]["parallelism"]
    (port,) = container["ports"]
    assert service["spec"]["ports"] == [{"name": port["name"], "port": port["containerPort"]}]
    values = [
        rule["onExitCodes"]["values"] for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    ]
    assert values == [[os.EX_TEMPFAIL], [2]]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in template["volumes"]]


@pytest.mark.parametrize("index", [0, 2])
def test_the_pods_find_their_place_in_tf_config(index, manifest):
    job = manifest["Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    assert "exec python -m ml_lstm.train" in script
    script = script.replace("exec python", 'echo "$TF_CONFIG"; exit; exec python')
    variables = {"JOB_COMPLETION_INDEX": str(index)} | {entry["name"]: entry["value"] for entry in container["env"]}
    result = subprocess.run(
        [*container["command"], script], env=os.environ | variables, capture_output=True, check=True
    )
    config = json.loads(result.stdout)
    name, service = job["metadata"]["name"], manifest["Service"]["metadata"]["name"]
    assert config["cluster"] == {"worker": [f"{name}-{number}.{service}:2222" for number in range(3)]}
    shared = distribution(["cpu:0"], {"TF_CONFIG": json.dumps(config)}, strategy="multi_worker")
    assert shared.is_chief is (index == 0)
    (meta_batch,) = re.findall(r"--meta_batch_size=(\d+)", script)
    assert int(meta_batch) % shared.replicas == 0


def test_the_tf_configs_of_several_machines_and_of_one_are_right():
    lines = [line for line in DISTRIBUTED.splitlines() if line.strip().startswith("TF_CONFIG=")]
    assert len(lines) == 2
    for line in lines:
        config = shlex.split(line.rstrip("\\"))[0].removeprefix("TF_CONFIG=").replace("$index", "1")
        assert distribution(["gpu:0"], {"TF_CONFIG": config}, strategy="multi_worker").replicas == 2
