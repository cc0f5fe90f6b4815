"""The container image as far as it can be told without building it (`make image` does that): nothing that the programs need is
forgotten, nothing of the workplace gets in, and the bill of materials is one."""

import hashlib
import json
import os
import re
import subprocess

import pytest
from stack import ROOT

PROGRAMS = ("offboard", "offboard-logger", "offboard-producer", "offboard-scheduler", "offboard-vault", "offboard-worker")


def run(*command: str, **env: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory, servers) -> str:
    """The root of the image, made from what is built here."""
    if not os.path.samefile(servers.build, os.path.join(ROOT, "build")):
        pytest.skip("make install takes what is in build/, and another build is under test")
    root = tmp_path_factory.mktemp("image")
    run("make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr")
    run("scripts/image-root", str(root), SOURCE_DATE_EPOCH="1700000000")
    return str(root)


def libraries(image: str, program: str) -> list[str]:
    """What the image's loader finds."""
    loader = os.path.join(image, "usr/lib64/ld-linux-x86-64.so.2")
    said = run(loader, "--inhibit-cache", "--library-path", f"{image}/usr/lib/x86_64-linux-gnu", "--list", f"{image}/usr/bin/{program}")
    return re.findall(r"=> (.*?)(?: \(0x|$)", said, re.MULTILINE)


def test_programs_find_their_libraries_in_it_and_nowhere_else(image):
    for program in PROGRAMS:
        found = libraries(image, program)
        assert len(found) > 10 and all(path.startswith(image) for path in found), found


def test_what_is_read_at_run_time_is_there(image):
    for path in ("etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Berlin", "usr/share/zoneinfo/zone.tab",
                 "etc/ssl/openssl.cnf", "usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "etc/nsswitch.conf"):
        assert os.path.getsize(os.path.join(image, path)) > 0, path
    for kind, folder in (("sources", "producer/sources"), ("runbooks", "producer/runbooks"), ("connectors", "worker/connectors"),
                         ("schema", "schema")):
        shipped = {name for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith((".yaml", ".sql"))}
        assert set(os.listdir(os.path.join(image, "usr/share/offboard", kind))) == shipped


def test_a_library_that_is_missing_is_noticed(image, tmp_path):
    """The first test can fail."""
    library = os.path.join(image, "usr/lib/x86_64-linux-gnu/libjansson.so.4")
    os.rename(library, tmp_path / "aside")
    try:
        assert not all(path.startswith(image) for path in libraries(image, "offboard"))
    finally:
        os.rename(tmp_path / "aside", library)


def test_its_user_owns_and_writes_nothing(image):
    assert "offboard:x:65532:65532:" in open(os.path.join(image, "etc/passwd"), encoding="utf-8").read()
    for folder, folders, files in os.walk(image):
        for name in [*folders, *files]:
            status = os.lstat(os.path.join(folder, name))
            assert os.path.islink(os.path.join(folder, name)) or not status.st_mode & 0o6022, os.path.join(folder, name)
    binaries = {name for _, _, files in os.walk(image) for name in files}
    assert not binaries & {"sh", "bash", "dash", "apt", "dpkg", "gcc", "perl"}


def test_the_bill_of_materials(image):
    bill = json.loads(run("scripts/sbom", image, "1.0.0", SOURCE_DATE_EPOCH="1700000000"))
    assert bill == json.loads(run("scripts/sbom", image, "1.0.0", SOURCE_DATE_EPOCH="1700000000")), "the same image, the same bill"
    assert bill["spdxVersion"] == "SPDX-2.3" and bill["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    ids = [one["SPDXID"] for one in [*bill["packages"], *bill["files"]]]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in ids)
    for relation in bill["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= {"SPDXRef-DOCUMENT", *ids}
    names = {one["name"]: one for one in bill["packages"]}
    assert names.keys() >= {"offboard", "libc6", "libcurl4", "libjansson4", "libjq1", "libldap-2.5-0", "libpq5", "librdkafka1", "libssl3",
                            "libuv1", "ca-certificates", "tzdata"}
    assert names["libssl3"]["externalRefs"][0]["referenceLocator"].startswith("pkg:deb/debian/libssl3@3.")
    assert "Apache-2.0" in names["libssl3"]["licenseComments"]
    for one in bill["files"]:
        with open(os.path.join(image, one["fileName"]), "rb") as file:
            content = file.read()
        assert {"algorithm": "SHA256", "checksumValue": hashlib.sha256(content).hexdigest()} in one["checksums"]
    assert {one["fileName"] for one in bill["files"]} == {f"./usr/bin/{program}" for program in PROGRAMS}


def test_the_dockerfile_takes_what_compiling_needs_and_no_more():
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        text = file.read()
    assert "$(/source/scripts/deps --list-build)" in text, "one list of packages"
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "scratch"]
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    with open(os.path.join(ROOT, ".dockerignore"), encoding="utf-8") as file:
        assert {".git", "build", "tests"} <= set(file.read().split())
