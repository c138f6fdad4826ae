//! How login codes reach people: by the log, by a program of the operator's, by a web service.
//!
//! Neither a number nor a code, nor an address that may hold a password, gets into the log, except
//! where the log is the way.

use std::fmt;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chappe_net::connect::Authorities;
use chappe_telegram::{CodeError, CodeLog};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::web::WebAddress;

/// How codes are sent, as the settings say it.
#[derive(Clone, Default, PartialEq)]
pub(crate) enum CodeSender {
    /// They are logged.
    #[default]
    Log,
    /// A program and its arguments.
    Command(Vec<String>),
    /// A web service.
    Web(WebAddress),
}

/// What a setting may look like.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no way to send codes, such as log, command:/usr/local/bin/send-code or \
     https://example.org/code"
)]
pub(crate) struct NoCodeSender(String);

/// How long sending one code may take.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Codes sent at once; one more is refused.
const AT_ONCE_MAX: usize = 16;
/// Bytes of an answer, which nobody reads.
const ANSWER_MAX: usize = 64 << 10;

impl FromStr for CodeSender {
    type Err = NoCodeSender;

    fn from_str(text: &str) -> Result<Self, NoCodeSender> {
        let refuse = || NoCodeSender(text.to_owned());
        if text == "log" {
            return Ok(Self::Log);
        }
        if let Some(command) = text.strip_prefix("command:") {
            let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
            return if words.is_empty() { Err(refuse()) } else { Ok(Self::Command(words)) };
        }
        text.parse().map(Self::Web).map_err(|_| refuse())
    }
}

/// Arguments and addresses may hold passwords.
impl fmt::Debug for CodeSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "Log",
            Self::Command(_) => "Command(..)",
            Self::Web(_) => "Web(..)",
        })
    }
}

impl CodeSender {
    /// What sends them.
    pub(crate) fn sender(&self) -> Arc<dyn chappe_telegram::CodeSender> {
        let turns = Semaphore::new(AT_ONCE_MAX);
        match self {
            Self::Log => Arc::new(CodeLog),
            Self::Command(words) => Arc::new(Bounded { way: words.clone(), turns }),
            Self::Web(address) => {
                let authorities = Authorities::public();
                let way = WebService { address: address.clone(), authorities };
                Arc::new(Bounded { way, turns })
            }
        }
    }
}

/// A way to send a line of JSON somewhere.
trait Way: Send + Sync + 'static {
    fn send(&self, line: String) -> impl Future<Output = Result<(), CodeError>> + Send;
}

/// A way that is taken so often at once, and for so long.
struct Bounded<W> {
    way: W,
    turns: Semaphore,
}

impl<W: Way> chappe_telegram::CodeSender for Bounded<W> {
    fn send(&self, phone: &str, code: &str) -> BoxFuture<'_, Result<(), CodeError>> {
        let line = format!("{}\n", json!({ "phone": phone, "code": code }));
        Box::pin(async move {
            let turn = self.turns.try_acquire();
            let _turn = turn.map_err(|_| CodeError("too many codes are being sent".to_owned()))?;
            let late = || CodeError(format!("it took more than {} s", WAIT_MAX.as_secs()));
            timeout(WAIT_MAX, self.way.send(line)).await.map_err(|_| late())?
        })
    }
}

/// The words of a command: it finds the line on its standard input, where no list of processes
/// shows it, and says by its status whether the code is on its way.
impl Way for Vec<String> {
    async fn send(&self, line: String) -> Result<(), CodeError> {
        let fail = |problem: &dyn fmt::Display| CodeError(format!("the command: {problem}"));
        let (program, arguments) = self.split_first().ok_or_else(|| fail(&"there is none"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fail(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing may know what it wants; its status tells.
            let _ = stdin.write_all(line.as_bytes()).await;
        }
        let status = child.wait().await.map_err(|error| fail(&error))?;
        if status.success() { Ok(()) } else { Err(fail(&status)) }
    }
}

struct WebService {
    address: WebAddress,
    authorities: Authorities,
}

impl Way for WebService {
    async fn send(&self, line: String) -> Result<(), CodeError> {
        let fail = |problem: &dyn fmt::Display| CodeError(format!("the web service: {problem}"));
        let site = self.address.site().taking("application/json");
        let connected = self.address.connect(site, None, &self.authorities, WAIT_MAX).await;
        let mut connection = connected.map_err(|error| fail(&error))?;
        let answer = connection.post(line.into_bytes().into(), ANSWER_MAX, WAIT_MAX).await;
        let status = answer.map_err(|error| fail(&error))?.status;
        match status {
            200..=299 => Ok(()),
            _ => Err(fail(&format!("it answers with status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   codes go to the log, to a program or to a web service; what is none of these is
    ///         refused, and passwords in arguments and addresses show up nowhere.
    /// Source: ACC-05.
    #[test]
    fn settings_name_a_way() {
        for (text, is_one) in [
            ("log", true),
            ("command:/bin/send --from 1", true),
            ("command: ", false),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]/code", true),
            ("https://example.org/code?key=secret", true),
            ("https://", false),
            ("https://exa mple.org/", false),
            ("ftp://example.org", false),
            ("mail", false),
        ] {
            let sender = text.parse::<CodeSender>();
            assert_eq!(sender.is_ok(), is_one, "{text}");
            if let Ok(sender) = sender {
                let shown = format!("{sender:?}");
                assert!(!shown.contains("secret") && !shown.contains("from"), "{shown}");
            }
        }
    }

    /// Rule:   a program finds number and code on its standard input, and nowhere else; one that
    ///         fails or is not there has sent nothing.
    /// Source: ACC-05.
    #[tokio::test]
    async fn program_sends_a_code() {
        let folder = tempfile::tempdir().unwrap();
        let heard = folder.path().join("heard");
        let text = format!("command:tee {}", heard.display());
        let sender = text.parse::<CodeSender>().unwrap().sender();
        sender.send("15550100001", "12345").await.unwrap();
        let line: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(heard).unwrap()).unwrap();
        assert_eq!(line, json!({ "phone": "15550100001", "code": "12345" }));
        for text in ["command:false", "command:/nowhere/at-all"] {
            let sender = text.parse::<CodeSender>().unwrap().sender();
            let error = sender.send("15550100001", "12345").await.unwrap_err();
            assert!(!error.0.contains("12345") && !error.0.contains("1555"), "{error}");
        }
    }

    /// Rule:   a web service is posted number and code as JSON; one that answers anything but a
    ///         status of success, or nothing, has sent nothing.
    /// Source: ACC-05.
    #[tokio::test]
    async fn web_service_sends_a_code() {
        for (status, is_ok) in [("200 OK", true), ("204 No Content", true), ("500 No", false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let text = format!("http://{}/code?key=1", listener.local_addr().unwrap());
            let sender = text.parse::<CodeSender>().unwrap().sender();
            let (sent, request) =
                tokio::join!(sender.send("15550100001", "12345"), serve_one(listener, status));
            assert_eq!(sent.is_ok(), is_ok, "{status}");
            assert!(request.starts_with("POST /code?key=1 HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("content-type: application/json\r\n"), "{request}");
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body, json!({ "phone": "15550100001", "code": "12345" }));
        }
        let sender = "http://127.0.0.1:1/".parse::<CodeSender>().unwrap().sender();
        assert!(sender.send("15550100001", "12345").await.is_err());
    }

    /// Answers one request with a status; the request.
    async fn serve_one(listener: tokio::net::TcpListener, status: &str) -> String {
        use tokio::io::AsyncReadExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }
}
