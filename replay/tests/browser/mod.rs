//! A headless Chromium that a test opens a page in, driven by the DevTools protocol over a pair of pipes.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The protocol has its pipes at 3 and 4; whatever the browser says besides is not for us. It is ended if it hangs.
const START: &str = "exec timeout 120 chromium --headless --no-sandbox --disable-gpu --remote-debugging-pipe --window-size=1500,850 \
    --user-data-dir=\"$1\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
/// How often it is looked whether a page is there, and how long to wait between.
const LOOKS: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(100);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
    sent: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a page from the disk, and waits until it has drawn itself. The part after the path says what is looked at.
    pub(crate) fn open(path: &Path, part: &str) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let known = Command::new("sh").args(["-c", "command -v chromium timeout"]).output().expect("a shell");
        assert!(known.status.success(), "this test needs the Debian package chromium: .ci/packages installs it");
        let mut child = Command::new("sh")
            .args(["-c", START, "sh"])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let into = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut browser = Self { child, into, from, sent: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": format!("file://{}#{part}", path.display())}));
        let session = browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for _ in 0..LOOKS {
            if browser.value("document.readyState === 'complete' && !!window.picture") == json!(true) {
                return browser;
            }
            std::thread::sleep(BETWEEN);
        }
        panic!("the page has not begun: {}", browser.value("document.body.innerText"));
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.into.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut answer = Vec::new();
            self.from.by_ref().read_until(0, &mut answer).expect("the browser answers");
            assert_eq!(answer.pop(), Some(0), "the browser has ended");
            let answer: Value = serde_json::from_slice(&answer).expect("it speaks JSON");
            if answer["id"] == json!(self.sent) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of an element.
    pub(crate) fn text(&mut self, id: &str) -> String {
        self.value(&format!("document.getElementById('{id}')?.innerText ?? ''")).as_str().unwrap_or_default().to_owned()
    }

    /// A click of the mouse.
    pub(crate) fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            self.call("Input.dispatchMouseEvent", json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}));
        }
    }

    /// A key of the keyboard.
    pub(crate) fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key}));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when it is asked to, or when its pipes are closed.
        let _ = self.into.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ = self.child.wait();
    }
}
