"""`sam build` for this machine's processor, in `make soak` for both, and what `sam package` would upload of it."""

import asyncio
import importlib.util
import json
import os
import struct
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
import yaml

from local.emulator import Emulator, variables_of
from local.runtime_api import RuntimeApi
from local.template import Template
from tests.examples import LONG
from tests.packaging.building import ARCHITECTURES, OURS, Build, sam

EM_AARCH64, EM_X86_64 = 183, 62  # e_machine of an ELF file


@pytest.fixture(params=ARCHITECTURES if LONG else [OURS])
def built(request, build: Build) -> tuple[str, Path]:
    return request.param, build(request.param)


@pytest.mark.soak
def test_every_function_is_built_with_its_handler(built: tuple[str, Path]) -> None:
    _, target = built
    template = yaml.safe_load((target / "template.yaml").read_text())
    functions = {n: r for n, r in template["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    for name in functions:
        assert sorted(path.name for path in (target / name).iterdir()) == ["app.py"]
    assert functions.keys() == Template.load().functions.keys()


@pytest.mark.parametrize("built", [OURS], indirect=True)
def test_a_streaming_function_starts_as_it_was_built(built: tuple[str, Path], root: Path, tmp_path: Path) -> None:
    """By the wrapper in the layer, beside the managed runtime's boto3 and nothing else."""
    _, target = built
    template = yaml.safe_load((target / "template.yaml").read_text())["Resources"]
    code = target / template["ReadLogStream"]["Properties"]["CodeUri"]
    layer = target / template["CommonLayer"]["Properties"]["ContentUri"]
    (libraries,) = (root / ".venv").glob("lib/*/site-packages")
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"):
        (tmp_path / name).symlink_to(libraries / name)
    answer = asyncio.run(answer_of(code, layer, tmp_path, root))
    assert answer.startswith(b'{"statusCode": 401')
    assert json.loads(answer.partition(bytes(8))[2])["error_code"] == "APIGW.0301"


async def answer_of(code: Path, layer: Path, runtime: Path, root: Path) -> bytes:
    api = RuntimeApi("ReadLogStream")
    environment = {
        **json.loads((root / "events" / "env.json").read_text())["Parameters"],
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": await api.start(),
        "_HANDLER": "app.stream_handler",
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": str(runtime),
    }
    interpreter = Path(sys.base_prefix, "bin", "python3.13")  # which knows nothing of .venv
    command = [str(layer / "stream-runtime"), str(interpreter), "/var/runtime/bootstrap.py"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=code)
    try:
        async with asyncio.timeout(60):
            asked = json.loads((root / "events" / "read_log-no_token.json").read_text())
            return b"".join([chunk async for chunk in api.invoke(asked, 60).chunks()])
    finally:
        process.kill()
        await process.wait()
        api.stop()


@pytest.mark.soak
def test_the_layer_that_sam_uploads_holds_valid_bytecode_and_no_boto3(
    built: tuple[str, Path], root: Path, emulator: Emulator, tmp_path: Path
) -> None:
    architecture, target = built
    bucket = f"packages-{architecture.replace('_', '-')}"
    s3 = boto3.client("s3", endpoint_url=emulator.endpoint, region_name="us-east-1")
    s3.create_bucket(Bucket=bucket)
    packaged = tmp_path / "packaged.yaml"
    sam(
        root, variables_of(emulator.endpoint),
        "package", "--template-file", str(target / "template.yaml"), "--s3-bucket", bucket,
        "--output-template-file", str(packaged),
    )  # fmt: skip
    uri = yaml.safe_load(packaged.read_text())["Resources"]["CommonLayer"]["Properties"]["ContentUri"]
    uploaded = tmp_path / "layer.zip"
    s3.download_file(bucket, uri.rpartition("/")[2], str(uploaded))
    layer = zipfile.ZipFile(uploaded)
    names = set(layer.namelist())

    assert {name.split("/")[0] for name in names} == {"python", "stream-runtime"}
    assert layer.getinfo("stream-runtime").external_attr >> 16 & 0o111 == 0o111, "Lambda runs it"
    assert not [name for name in names if name.startswith(("python/boto", "python/s3transfer", "python/bin/"))]
    sources = {name for name in names if name.endswith(".py")}
    assert {
        "python/logkeep/logs/fragment.py",
        "python/logkeep_runtime/__main__.py",
        "python/aws_lambda_powertools/__init__.py",
        "python/pydantic/main.py",
    } <= sources
    for source in sources:
        folder, _, file = source.rpartition("/")
        bytecode = layer.read(f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-313.pyc")
        assert bytecode[:4] == importlib.util.MAGIC_NUMBER
        assert struct.unpack("<I", bytecode[4:8])[0] == 0b01, "hash-based, unchecked: zipping dates every source 1980"
        assert bytecode[8:16] == importlib.util.source_hash(layer.read(source))

    assert "python/logkeep/logs/_scanner.so" in names
    assert "python/tzdata/zoneinfo/Asia/Shanghai" in names, "the runtime need not have time zones"
    assert not [name for name in names if name.startswith("python/logkeep_scanner")]
    machines = {struct.unpack("<H", layer.read(name)[18:20])[0] for name in names if name.endswith(".so")}
    assert machines == {EM_AARCH64 if architecture == "arm64" else EM_X86_64}
    assert sum(each.file_size for each in layer.infolist()) < 60 << 20, "a layer may hold 250 MB unzipped"
