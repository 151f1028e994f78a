//! A replay sends nothing outside: in a network of its own, in which there is nothing but its nats-server, it does all that it
//! does elsewhere, and its only sockets are those to that server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use proto::v1::RegistrationState as State;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::support::{PATIENCE, POLL, Stage, product};

/// So many that their lines do not fit into a pipe, and the export waits for its reader while it is looked at.
const REGISTRATIONS: usize = 40;
/// Looks at the sockets of the process while it works.
const LOOKS: usize = 25;
/// 127.0.0.1 as the kernel prints it.
const LOOPBACK: &str = "0100007F";

/// Whether a command can be run in a network of its own here.
async fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["-rn", "--", "ip", "link", "set", "lo", "up"]).output().await;
    tried.is_ok_and(|output| output.status.success())
}

fn export(data: &Path, alone: bool) -> Command {
    let binary = env!("CARGO_BIN_EXE_regflow");
    let mut command = if alone {
        let mut command = Command::new("unshare");
        command.args(["-rn", "--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", binary]);
        command
    } else {
        Command::new(binary)
    };
    command.args(["audit", "export", "--data"]).arg(data).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The numbers of the sockets that a process has open, each once: two handles can share one.
fn sockets_of(pid: u32) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let names = links.filter_map(|link| link.to_str().map(str::to_owned));
    names.filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// The lines of a table of the kernel, in the network of the process, that are about these sockets (proc(5)).
fn table(pid: u32, name: &str, inode_column: usize, sockets: &BTreeSet<String>) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.get(inode_column).is_some_and(|inode| sockets.contains(inode))).collect()
}

/// Checks that every socket of the process is one to its nats-server, and gives how many there are.
fn only_to_nats(pid: u32, port: u16) -> usize {
    let sockets = sockets_of(pid);
    let to_nats = format!("{LOOPBACK}:{port:04X}");
    let tcp = table(pid, "tcp", 9, &sockets);
    for line in &tcp {
        assert_eq!(line[2], to_nats, "a socket leads elsewhere: {line:?}");
    }
    for other in ["tcp6", "udp", "udp6", "raw", "raw6"] {
        assert_eq!(table(pid, other, 9, &sockets), Vec::<Vec<String>>::new(), "{other}");
    }
    // what wakes the runtime at a signal is a pair of unix sockets without a name
    let unix = table(pid, "unix", 6, &sockets);
    assert!(unix.iter().all(|line| line.len() == 7), "a unix socket with a name: {unix:?}");
    assert_eq!(tcp.len() + unix.len(), sockets.len(), "a socket of another kind");
    tcp.len()
}

/// The port of the server, once it is known.
async fn port_of_nats(data: &Path) -> u16 {
    let asked = Instant::now();
    loop {
        let conf = std::fs::read_to_string(data.join("nats/server.conf")).unwrap_or_default();
        let port = conf.lines().find_map(|line| line.trim().strip_prefix("regflow_port =")?.trim().parse().ok());
        if let Some(port) = port {
            return port;
        }
        assert!(asked.elapsed() < PATIENCE, "no port in server.conf: {conf}");
        tokio::time::sleep(POLL).await;
    }
}

async fn finish(child: Child) -> (bool, String) {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends in time").unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_no_socket_but_those_to_nats() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut ids = Vec::new();
    for number in 0..REGISTRATIONS {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NL9100{number:04}"))).await.id);
    }
    for id in &ids {
        service.wait_for_state(id, State::Success).await;
    }
    assert_eq!(service.stop().await, Some(0));
    let received = stage.ledger().len();
    let mails = stage.sandbox.mailbox().mails().len();

    let alone = has_namespaces().await;
    if !alone {
        eprintln!(
            "WARNING: `unshare -rn` or `ip` is not allowed here; the sockets are checked without a network of its own"
        );
    }
    std::fs::remove_file(stage.data.path().join("nats/server.conf")).unwrap();
    let mut child = export(stage.data.path(), alone).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut exported = vec![0; 1];
    let first = stdout.read_exact(&mut exported).await;
    let pid = child.id().unwrap();
    if first.is_err() {
        panic!("nothing was exported: {:?}", finish(child).await);
    }
    // it is in the middle of its work: the pipe is full, and nobody reads
    let port = port_of_nats(stage.data.path()).await;
    for _ in 0..LOOKS {
        assert!(only_to_nats(pid, port) >= 1, "it reads from its server");
        tokio::time::sleep(POLL).await;
    }
    let reading = tokio::spawn(async move {
        stdout.read_to_end(&mut exported).await.unwrap();
        exported
    });
    let (succeeded, told) = finish(child).await;
    assert!(succeeded, "{told}");
    let exported = String::from_utf8(reading.await.unwrap()).unwrap();
    assert!(exported.len() > 80_000, "more than a pipe holds: {}", exported.len());
    assert_eq!(exported.matches("registration_succeeded").count(), REGISTRATIONS);
    assert_eq!((stage.ledger().len(), stage.sandbox.mailbox().mails().len()), (received, mails));
}
