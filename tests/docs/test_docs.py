"""The examples of the documents, run as a reader would: each command is typed into a shell, its answer compared.

A block ```console holds commands behind `$ ` and what they answer, in which `…` stands for anything. A block ```python or
```javascript is run as a program; the sentence "It prints `…`" after it says what must come out. A block ```js is for a page
and not run here. The program is started anew for each document, with its own media server and an empty store.
"""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LIVESTREAM_BIN", str(ROOT / "target/debug/livestream"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(?:\n[^`\n]*?[Ii]t prints `([^`\n]*)`)?", re.MULTILINE | re.DOTALL)
PATIENCE = 30


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Program:
    """The program with nothing but defaults, on free ports."""

    def __init__(self) -> None:
        self.data = tempfile.TemporaryDirectory()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        ports = {"PORT": str(port), "MEDIA_PORT": str(free_port()), "MEDIA_UDP_PORT": "0"}
        self.environment = {**os.environ, **ports, "DATA_DIR": self.data.name, "LOG_LEVEL": "warn"}
        self.process = subprocess.Popen([BINARY], env=self.environment, cwd=self.data.name)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=2)
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.data.cleanup()


class Shell:
    """One shell for a whole document, so that a variable set in one block is there in the next."""

    END = "==end of answer=="

    def __init__(self, url: str) -> None:
        folder = pathlib.Path(BINARY).parent
        environment = {**os.environ, "URL": url, "LIVESTREAM_URL": url, "NO_COLOR": "1"}
        environment["PATH"] = f"{folder}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = environment
        self.process = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            cwd=ROOT,
        )

    def type(self, command: str) -> str:
        self.process.stdin.write(f"{command}\nprintf '\\n%s\\n' '{self.END}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                break
            lines.append(line)
        return "".join(lines).strip()

    def program(self, language: str, text: str) -> str:
        command = {"python": [sys.executable, "-"], "javascript": ["node", "--input-type=module", "-"]}[language]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE, env=self.environment)
        return (done.stdout + (done.stderr if done.returncode else "")).strip()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def steps(block: str):
    """The commands of a console block, each with the answer that stands below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        last = 0
        while lines[last].endswith("\\"):
            last += 1
        yield "\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :]).strip()


def pattern(expected: str) -> re.Pattern:
    return re.compile(".*".join(map(re.escape, expected.split("…"))), re.DOTALL)


class Documents(unittest.TestCase):
    def check(self, name: str) -> None:
        blocks = [found for found in BLOCK.findall((ROOT / name).read_text()) if found[0] in ("console", "python", "javascript")]
        self.assertTrue(blocks, f"{name} has no example")
        program = Program()
        shell = Shell(program.url)
        try:
            for language, text, prints in blocks:
                if language == "console":
                    for command, expected in steps(text):
                        self.compare(name, command, expected, shell.type(command))
                else:
                    self.assertTrue(prints, f"{name} does not say what this prints:\n{text}")
                    self.compare(name, text, prints, shell.program(language, text))
        finally:
            shell.close()
            program.stop()

    def compare(self, name: str, command: str, expected: str, answer: str) -> None:
        if not pattern(expected).fullmatch(answer):
            self.fail(f"{name}\n$ {command}\nsays:\n{expected}\n\nanswered:\n{answer}")


def documents() -> list[str]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [str(file.relative_to(ROOT)) for file in files if "```console\n" in file.read_text()]


class Links(unittest.TestCase):
    """Links within the repository lead somewhere, sections included."""

    def test_links_lead_somewhere(self):
        tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in tracked.split():
            for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text()):
                if not re.match(r"[a-z]+:", target):
                    with self.subTest(file=name, link=target):
                        self.follow(ROOT / name, target)

    def follow(self, source: pathlib.Path, target: str) -> None:
        path, _, section = target.partition("#")
        file = (source.parent / path).resolve() if path else source
        self.assertTrue(file.exists(), "there is no such file")
        if section and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            self.assertIn(section, [re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles])


for _name in documents():
    setattr(Documents, "test_" + re.sub(r"\W", "_", _name), lambda self, name=_name: self.check(name))

if __name__ == "__main__":
    unittest.main()
