//! Chromium, driven over its DevTools protocol: no more of it than the tests of the page need.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// A browser with one page.
pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    number: u64,
    /// What the page complained about, and what it asked of the network.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Browser {
    /// Starts it; `None` where there is none.
    pub fn start() -> Option<Browser> {
        let named = std::env::var("TILEWRIGHT_CHROMIUM").ok();
        let names = named.iter().map(String::as_str).chain(["chromium", "chromium-browser", "google-chrome"]);
        let profile = TempDir::new().expect("a folder");
        let mut process = names.into_iter().find_map(|name| {
            Command::new(name)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
                .args(["--remote-debugging-port=0", "--hide-scrollbars", "about:blank"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_string))?;
        // Nobody reads what else it says, but it must be able to say it.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.trim_start_matches("ws://").split('/').next().expect("a host");
        let stream = TcpStream::connect(host).expect("it listens there");
        let (socket, _) = tungstenite::client(&address, stream).expect("it speaks the protocol");
        let mut browser =
            Browser { process, socket, session: None, number: 0, complaints: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let wanted = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", wanted);
        browser.session = session["sessionId"].as_str().map(str::to_string);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method and waits for what it gives.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut request = json!({ "id": self.number, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(request.to_string())).expect("it listens");
        loop {
            let answer = self.next();
            if answer["id"] == json!(self.number) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// The next message; complaints are kept.
    fn next(&mut self) -> Value {
        let text = self.socket.read().expect("it answers").into_text().expect("text");
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let params = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] != "log" => Some(params["args"].to_string()),
            Some("Log.entryAdded") => Some(params["entry"]["text"].to_string()),
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                (!["file:", "data:", "about:"].iter().any(|own| url.starts_with(own)))
                    .then(|| format!("asks for {url}"))
            }
            _ => None,
        };
        self.complaints.extend(complaint);
        message
    }

    /// Opens a file in a window of so many pixels, in light or in dark.
    pub fn open(&mut self, url: &str, width: u32, height: u32, dark: bool) {
        let scale = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", scale);
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
        // The same address again is another page.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": url }));
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'");
    }

    /// The value of an expression, as JSON has it.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let found = self.call("Runtime.evaluate", params);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {}", found["exceptionDetails"]);
        found["result"]["value"].clone()
    }

    /// Waits until an expression holds.
    pub fn wait(&mut self, expression: &str) {
        for _ in 0..400 {
            if self.value(expression) == json!(true) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("never: {expression}");
    }

    /// Clicks at the middle of the element that a selector finds, as a mouse does.
    pub fn click(&mut self, selector: &str) {
        let [x, y] = self.middle(selector);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Moves the pointer there.
    pub fn point_at(&mut self, selector: &str) {
        let [x, y] = self.middle(selector);
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    fn middle(&mut self, selector: &str) -> [f64; 2] {
        let quoted = json!(selector);
        let found = self.value(&format!(
            "(() => {{ const element = document.querySelector({quoted}); if (!element) return null; \
             element.scrollIntoView({{ block: 'nearest', inline: 'nearest' }}); const box = element.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        let at = |number: usize| found[number].as_f64().unwrap_or_else(|| panic!("there is no {selector}"));
        [at(0), at(1)]
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "ArrowLeft" => (37, None),
            "ArrowUp" => (38, None),
            "ArrowRight" => (39, None),
            "ArrowDown" => (40, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "Tab" => (9, None),
            "End" => (35, None),
            "Home" => (36, None),
            other => (u32::from(other.as_bytes()[0].to_ascii_uppercase()), Some(other)),
        };
        let mut params = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            params["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", params.clone());
        params["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", params);
    }

    /// What is seen, as PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        decoded(&self.call("Page.captureScreenshot", json!({ "format": "png" })))
    }

    /// What is printed, as PDF.
    pub fn printed(&mut self) -> Vec<u8> {
        decoded(&self.call("Page.printToPDF", json!({ "preferCSSPageSize": true, "printBackground": true })))
    }
}

fn decoded(answer: &Value) -> Vec<u8> {
    let text = answer["data"].as_str().expect("the picture");
    data_encoding::BASE64.decode(text.as_bytes()).expect("base 64")
}
