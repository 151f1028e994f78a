//! Nothing is left behind: not after a shutdown, not after a killed driver, not after a killed owner.

use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use outbound::Reach;
use regflow_form::Recipe;

use crate::site::{Site, thanks};
use crate::{RUNTIME, browsers_in, confirmation, folder, may_send, options_in, reach, recipe};

const ONE_PAGE: &str = r##"
    url = "BASE/"
    success = { selector = "h1" }
    steps = [{ name = "one", submit = ["button"], fields = [{ selectors = ["[name=a]"], value = "x" }] }]
"##;
const FORM: &str = "<form method=post><input name=a><button>Send</button></form>";
const GONE_WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A process, not to be mistaken for a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    name: String,
    started: String,
}

impl Process {
    // Of /proc/PID/stat: "pid (name) state parent ... started(22nd)".
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (front, rest) = stat.rsplit_once(") ")?;
        let rest: Vec<&str> = rest.split(' ').collect();
        // a zombie is gone; init (or a careless container) has not buried it yet
        if rest.first() == Some(&"Z") {
            return None;
        }
        let name = front.split_once('(')?.1.to_owned();
        Some(Self { pid, parent: rest.get(1)?.parse().ok()?, name, started: (*rest.get(19)?).to_owned() })
    }

    fn is_there(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.started == self.started)
    }

    fn was_told(&self, folder: &Path) -> bool {
        let needle = folder.as_os_str().as_bytes();
        ["cmdline", "environ"].iter().any(|file| {
            std::fs::read(format!("/proc/{}/{file}", self.pid))
                .is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
        })
    }
}

/// All processes that were told to use `folder`, and their descendants (a zygote's children tell nothing themselves).
fn processes_of(folder: &Path) -> Vec<Process> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<Process> = pids.filter(|pid| *pid != std::process::id()).filter_map(Process::of).collect();
    let mut family: Vec<Process> = all.iter().filter(|process| process.was_told(folder)).cloned().collect();
    let mut at = 0;
    while let Some(parent) = family.get(at).map(|process| process.pid) {
        let children = all.iter().filter(|process| process.parent == parent && !family.contains(process));
        family.extend(children.cloned().collect::<Vec<_>>());
        at += 1;
    }
    family
}

/// A driver and at least one whole browser, to know that the counting works.
#[track_caller]
fn running(folder: &Path) -> Vec<Process> {
    let family = processes_of(folder);
    assert!(family.len() > 4, "{family:?}");
    family
}

#[track_caller]
fn wait_until_gone(family: &[Process], folder: &Path) {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let mut left: Vec<Process> = family.iter().filter(|process| process.is_there()).cloned().collect();
        left.extend(processes_of(folder));
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:?}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// The main processes of browsers.
fn mains_of(folder: &Path) -> Vec<Process> {
    let family = processes_of(folder);
    let is_driver = |pid| family.iter().any(|process| process.pid == pid && process.name == "chromedriver");
    family.iter().filter(|process| is_driver(process.parent)).cloned().collect()
}

#[test]
fn a_browser_serves_one_home_or_the_public_and_makes_room_for_another() {
    let folder = folder("homes");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |options| {
            options.sessions_max = 1;
            options.resolver = reach::resolver();
        })
    };
    let (site, other) = (Site::one_page(FORM, thanks), Site::one_page(FORM, thanks));
    let public = |site: &Site| {
        let base = site.base.replace("127.0.0.1", "maker.test");
        Recipe { reach: Reach::Public, ..recipe(ONE_PAGE, &base) }
    };
    let visit = |recipe: &Recipe| {
        confirmation(&RUNTIME.block_on(browsers.run(recipe, Vec::new(), may_send())));
        let mains = mains_of(&folder);
        assert_eq!(mains.len(), 1, "{mains:?}");
        mains
    };
    let mut before = Vec::new();
    let of_a_kind = [
        [recipe(ONE_PAGE, &site.base), recipe(ONE_PAGE, &site.base)],
        [public(&site), public(&other)],
        [recipe(ONE_PAGE, &other.base), recipe(ONE_PAGE, &other.base)],
        [public(&other), public(&site)],
    ];
    for [one, another] in of_a_kind {
        let browser = visit(&one);
        assert_eq!(visit(&another), browser, "people of one home have one browser");
        assert!(!before.contains(&browser), "{before:?}");
        before.push(browser);
    }
    RUNTIME.block_on(browsers.shutdown());
}

/// The processes that show pages.
fn renderers_of(folder: &Path) -> Vec<Process> {
    let shows_pages = |process: &Process| {
        std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid))
            .is_ok_and(|line| line.contains("--type=renderer"))
    };
    processes_of(folder).into_iter().filter(shows_pages).collect()
}

#[test]
fn a_persons_page_has_a_process_of_its_own() {
    let folder = folder("renderers");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |options| options.sessions_max = 1)
    };
    let (seen_when_sent, seen) = std::sync::mpsc::channel();
    let site = Site::one_page(FORM, move || {
        seen_when_sent.send(renderers_of(&folder)).unwrap();
        thanks()
    });
    for _ in 0..2 {
        confirmation(&RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send())));
    }
    RUNTIME.block_on(browsers.shutdown());
    let [first, second] = [seen.recv().unwrap(), seen.recv().unwrap()];
    assert!(first.iter().any(|process| !second.contains(process)), "all of {first:?} still there: {second:?}");
}

#[test]
fn a_browser_has_nothing_of_our_environment_but_what_is_named() {
    let folder = folder("environment");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |_| {})
    };
    let site = Site::one_page(FORM, thanks);
    confirmation(&RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send())));
    // cargo tells its tests so
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    for process in running(&folder) {
        let told = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let told = String::from_utf8_lossy(&told);
        assert!(!told.contains("CARGO_MANIFEST_DIR="), "{process:?}: {told}");
    }
    RUNTIME.block_on(browsers.shutdown());
}

#[test]
fn a_shutdown_ends_browsers_and_driver_and_empties_the_folder() {
    let folder = folder("shutdown");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |_| {})
    };
    assert_eq!(processes_of(&folder), [], "nothing is started before the first form");
    let site = Site::one_page(FORM, thanks);
    let family = RUNTIME.block_on(async {
        let recipe = recipe(ONE_PAGE, &site.base);
        let (one, two) =
            tokio::join!(browsers.run(&recipe, Vec::new(), may_send()), browsers.run(&recipe, Vec::new(), may_send()));
        confirmation(&one);
        confirmation(&two);
        let family = running(&folder);
        browsers.shutdown().await;
        family
    });
    wait_until_gone(&family, &folder);
    assert_eq!(std::fs::read_dir(folder.join("driver")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(folder.join("uploads")).unwrap().count(), 0);
    let after = RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send()));
    assert!(after.trouble.is_some(), "a form after the shutdown is refused");
}

#[test]
fn a_driver_whose_port_is_taken_is_started_again_and_not_for_ever() {
    // as the real one does when another program has the port that it wants
    for (ends_first, arrives) in [(2, true), (1_000, false)] {
        let folder = folder(&format!("port-taken-{ends_first}"));
        std::fs::create_dir_all(&folder).unwrap();
        let (starts, shim) = (folder.join("starts"), folder.join("chromedriver-shim"));
        // an earlier run counted as well
        std::fs::write(&starts, "").unwrap();
        let real = options_in(folder.clone()).chromedriver;
        let script = format!(
            "#!/bin/sh\necho >> {starts}\n[ $(wc -l < {starts}) -gt {ends_first} ] || {{ echo 'IPv4 port not available. Exiting...'; exit 1; }}\nexec {real} \"$@\"\n",
            starts = starts.display(),
            real = real.display(),
        );
        std::fs::write(&shim, script).unwrap();
        std::fs::set_permissions(&shim, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let browsers = {
            let _on_runtime = RUNTIME.enter();
            browsers_in(folder.join("run"), |options| options.chromedriver = shim)
        };
        let site = Site::one_page(FORM, thanks);
        let report = RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send()));
        let started = std::fs::read_to_string(&starts).unwrap().lines().count();
        if arrives {
            confirmation(&report);
            assert_eq!(started, ends_first + 1);
        } else {
            assert!(report.trouble.is_some());
            assert!((2..100).contains(&started), "{started} starts");
        }
        RUNTIME.block_on(browsers.shutdown());
    }
}

#[test]
fn a_killed_driver_is_replaced_for_the_next_form() {
    let folder = folder("killed-driver");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |_| {})
    };
    let site = Site::one_page(FORM, thanks);
    let recipe = recipe(ONE_PAGE, &site.base);
    confirmation(&RUNTIME.block_on(browsers.run(&recipe, Vec::new(), may_send())));
    let family = running(&folder);
    kill(family.iter().find(|process| process.name == "chromedriver").unwrap().pid);
    wait_until_gone(&family, &folder);
    // whether or not the pool has noticed by now
    confirmation(&RUNTIME.block_on(browsers.run(&recipe, Vec::new(), may_send())));
    let family = running(&folder);
    RUNTIME.block_on(browsers.shutdown());
    wait_until_gone(&family, &folder);
}

#[test]
fn an_unused_session_is_closed() {
    let folder = folder("idle");
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder.clone(), |options| options.session_idle = Duration::from_millis(200))
    };
    let site = Site::one_page(FORM, thanks);
    confirmation(&RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send())));
    let deadline = Instant::now() + GONE_WITHIN;
    while processes_of(&folder).len() > 1 {
        assert!(Instant::now() < deadline, "still there: {:?}", processes_of(&folder));
        std::thread::sleep(BETWEEN_LOOKS);
    }
    RUNTIME.block_on(browsers.shutdown());
}

#[test]
fn a_killed_owner_leaves_no_process_behind() {
    let folder = folder("killed-owner");
    std::fs::create_dir_all(&folder).unwrap();
    let site = Site::one_page(FORM, thanks);
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, ONE_PAGE.replace("BASE", &site.base)).unwrap();
    let mut owner = Command::new(example("try_form"))
        .arg(&recipe)
        .arg(folder.join("browsers"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("Registered"), "{said}");
    let family = running(&folder);
    kill(owner.id());
    owner.wait().unwrap();
    wait_until_gone(&family, &folder);
}

fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.is_file(), "build the example first: cargo build -p regflow-form --example {name}");
    path
}
