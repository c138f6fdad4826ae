"""Installs what the tables need, where it is missing."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"

# Libraries of older layers, which go by the names of newer ones: a folder for each, and what is in it.
OLDER = {"telethon": ["telethon==1.37.0"], "pyrogram": ["pyrogram==2.0.106"]}

# A program, and its Debian package.
PROGRAMS = {"chromium": "chromium", "curl": "curl", "node": "nodejs", "npm": "npm", "openssl": "openssl"}


def install_programs():
    """Has apt install the programs that are missing; where that cannot be, says which."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"install these packages first: {' '.join(missing)}")
    print(f"installing {' '.join(missing)}", flush=True)
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *step], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def install_python():
    """Makes the virtual environment, unless it was made from the same requirements."""
    wanted = hashlib.sha256((HERE / "requirements.txt").read_bytes()).hexdigest()
    stamp = VENV / "requirements.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode != 0:
        sys.exit("python3 lacks its venv module: install the package python3-venv")
    print("installing the Python clients", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                    "requirements.txt"], cwd=HERE, check=True)
    stamp.write_text(wanted)


def install_older():
    """Puts older versions into folders of their own, unless they are there."""
    for name, requirements in OLDER.items():
        folder = VENV / "older" / name
        stamp = folder / "requirements.txt"
        if stamp.is_file() and stamp.read_text().split() == requirements:
            continue
        print(f"installing {' '.join(requirements)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder,
                        *requirements], check=True)
        stamp.write_text("\n".join(requirements))


def install_javascript():
    """Fills node_modules, unless it was filled from the same lock file."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".lock.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("installing the JavaScript clients", flush=True)
    # No install scripts: they would build an SQLite binding, and the sessions here are kept in memory.
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                   cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    stamp.write_text(wanted)
