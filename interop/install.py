"""Installs what the tables need, where it is missing."""

import hashlib
import json
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

# What speaks S3, in an environment of its own: it brings much with it.
BUCKET_VENV = HERE / ".venv-bucket"
MOTO_SERVER = BUCKET_VENV / "bin" / "moto_server"
MOTO = "moto[server,s3]==5.2.5"

# The persons of libraries in Rust, and what of their crates a copy is changed in: where it looks for a key, the server's
# is found as well. Package, version, the line before the keys, and what follows a key that has to be right.
RUST = HERE / "clients" / "rust"
RUST_TARGET = HERE.parent / "target" / "interop"
COPIES = [("ferogram-mtproto", "0.6.6", "    Some(match fp {", "?"),
          ("grammers-mtproto", "0.11.0", "    Some(match fingerprint {", ".unwrap()")]
KEY = """
        own if std::env::var("SERVER_KEY_FINGERPRINT").is_ok_and(|known| known == own.to_string()) => {
            rsa::Key::new(&std::env::var("SERVER_KEY_MODULUS").unwrap(), "65537")%s
        }"""

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


def install_bucket():
    """Makes the environment of what speaks S3, unless it is there."""
    if MOTO_SERVER.is_file():
        return
    print(f"installing {MOTO}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", BUCKET_VENV], check=True)
    subprocess.run([BUCKET_VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    MOTO], check=True)


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


def install_rust():
    """Compiles the persons of libraries in Rust, unless they are compiled."""
    if not shutil.which("cargo"):
        sys.exit("there is no cargo to compile the clients in Rust with")
    copies = RUST_TARGET / "copies"
    if not copies.is_dir():
        print("compiling the Rust clients, which takes minutes", flush=True)
        copy_crates(copies)
    # Cargo knows best what is up to date.
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=RUST, check=True)


def copy_crates(copies):
    """Makes the copies of the crates with keys in them, all or none."""
    making = copies.with_name("making")
    shutil.rmtree(making, ignore_errors=True)
    # Nothing but a list of what Cargo is to fetch.
    (making / "src").mkdir(parents=True)
    (making / "src" / "lib.rs").touch()
    wanted = "".join(f'{name} = "={version}"\n' for name, version, _, _ in COPIES)
    (making / "Cargo.toml").write_text(f'[package]\nname = "originals"\n[dependencies]\n{wanted}[workspace]\n')
    packages = json.loads(subprocess.run(["cargo", "metadata", "--format-version", "1"], cwd=making, check=True,
                                         stdout=subprocess.PIPE).stdout)["packages"]
    for name, _, before, after in COPIES:
        original = next(package for package in packages if package["name"] == name)
        shutil.copytree(pathlib.Path(original["manifest_path"]).parent, making / "copies" / name)
        keys = making / "copies" / name / "src" / "authentication.rs"
        source = keys.read_text()
        assert source.count(before) == 1, f"{name} has its keys elsewhere"
        keys.write_text(source.replace(before, before + KEY % after))
    (making / "copies").rename(copies)
    shutil.rmtree(making)
