//! One SMTP conversation without any I/O: a line in, a reply and what to do next out (RFC 5321).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a mail may weigh; the server says so in its greeting (RFC 1870).
pub(crate) const MAIL_BYTES_MAX: usize = 25 * 1024 * 1024;
/// As many recipients as RFC 5321 asks a server to take at least.
const RECIPIENTS_MAX: usize = 100;

/// What the server does after a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Sends this reply.
    Reply(String),
    /// Asks whether a recipient may be added, then sends the reply.
    AddRecipient(String),
    /// Sends 354 and reads the mail until the lonely dot.
    ReadMail,
    /// Sends this reply and closes.
    Close(String),
}

/// Sender and recipients of the mail under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub from: Option<String>,
    pub to: Vec<String>,
}

/// The state of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Session {
    greeted: bool,
    envelope: Envelope,
    login: Login,
}

/// How far AUTH has come; whatever is sent is accepted.
#[derive(Debug, Default, PartialEq, Eq)]
enum Login {
    #[default]
    No,
    AwaitsPlain,
    AwaitsUser,
    AwaitsPassword,
}

impl Session {
    /// Takes one line, without its line end.
    pub(crate) fn line(&mut self, line: &str) -> Step {
        match std::mem::take(&mut self.login) {
            Login::No => self.command(line),
            Login::AwaitsPlain | Login::AwaitsPassword if line != "*" => reply("235 2.7.0 Authenticated"),
            Login::AwaitsUser if line != "*" => {
                self.login = Login::AwaitsPassword;
                Step::Reply(challenge("Password:"))
            }
            Login::AwaitsPlain | Login::AwaitsUser | Login::AwaitsPassword => {
                reply("501 5.7.0 Authentication cancelled")
            }
        }
    }

    /// Adds the recipient that `Step::AddRecipient` named.
    pub(crate) fn add_recipient(&mut self, address: String) -> String {
        if self.envelope.to.len() >= RECIPIENTS_MAX {
            return "452 4.5.3 Too many recipients".to_owned();
        }
        self.envelope.to.push(address);
        "250 2.1.5 Ok".to_owned()
    }

    /// The finished envelope; the session is ready for the next mail.
    pub(crate) fn take_envelope(&mut self) -> Envelope {
        std::mem::take(&mut self.envelope)
    }

    fn command(&mut self, line: &str) -> Step {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.greet(&extensions()),
            "HELO" => self.greet("250 sandbox"),
            "AUTH" => self.auth(rest),
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" if self.envelope.to.is_empty() => reply("503 5.5.1 Need RCPT first"),
            "DATA" => Step::ReadMail,
            "RSET" => {
                self.envelope = Envelope::default();
                reply("250 2.0.0 Ok")
            }
            "NOOP" => reply("250 2.0.0 Ok"),
            "VRFY" => reply("252 2.5.0 Cannot verify, but will take the mail"),
            "QUIT" => Step::Close("221 2.0.0 Bye".to_owned()),
            _ => reply("500 5.5.2 Command unknown"),
        }
    }

    fn greet(&mut self, text: &str) -> Step {
        self.greeted = true;
        self.envelope = Envelope::default();
        reply(text)
    }

    fn auth(&mut self, rest: &str) -> Step {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        match (mechanism.to_ascii_uppercase().as_str(), initial.is_empty()) {
            ("PLAIN", false) => reply("235 2.7.0 Authenticated"),
            ("PLAIN", true) => {
                self.login = Login::AwaitsPlain;
                reply("334 ")
            }
            ("LOGIN", true) => {
                self.login = Login::AwaitsUser;
                Step::Reply(challenge("Username:"))
            }
            ("LOGIN", false) => {
                self.login = Login::AwaitsPassword;
                Step::Reply(challenge("Password:"))
            }
            _ => reply("504 5.5.4 Mechanism unknown"),
        }
    }

    fn mail(&mut self, rest: &str) -> Step {
        if !self.greeted {
            return reply("503 5.5.1 Say EHLO first");
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return reply("501 5.5.4 Syntax: MAIL FROM:<address>");
        };
        if self.envelope.from.is_some() {
            return reply("503 5.5.1 Sender already given");
        }
        if declared_size(parameters) > MAIL_BYTES_MAX {
            return reply("552 5.3.4 Mail too large");
        }
        self.envelope.from = Some(address.to_owned());
        reply("250 2.1.0 Ok")
    }

    fn rcpt(&mut self, rest: &str) -> Step {
        match path(rest, "TO:") {
            _ if self.envelope.from.is_none() => reply("503 5.5.1 Need MAIL first"),
            Some((address, _)) if !address.is_empty() => Step::AddRecipient(address.to_owned()),
            _ => reply("501 5.5.4 Syntax: RCPT TO:<address>"),
        }
    }
}

fn reply(text: &str) -> Step {
    Step::Reply(text.to_owned())
}

fn extensions() -> String {
    format!(
        "250-sandbox\r\n250-PIPELINING\r\n250-SIZE {MAIL_BYTES_MAX}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN"
    )
}

fn challenge(text: &str) -> String {
    format!("334 {}", STANDARD.encode(text))
}

/// `FROM:<a@b> SIZE=1` as address and parameters.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let found = rest.get(..keyword.len()).filter(|found| found.eq_ignore_ascii_case(keyword))?;
    rest[found.len()..].trim_start().strip_prefix('<')?.split_once('>')
}

fn declared_size(parameters: &str) -> usize {
    parameters
        .split_ascii_whitespace()
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("SIZE"))
        .and_then(|(_, size)| size.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(session: &mut Session, lines: &[&str]) -> Vec<String> {
        lines
            .iter()
            .map(|line| match session.line(line) {
                Step::Reply(text) | Step::Close(text) => text,
                Step::AddRecipient(address) => session.add_recipient(address),
                Step::ReadMail => "354".to_owned(),
            })
            .map(|text| text.get(..3).unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn an_ordinary_mail_goes_through() {
        let mut session = Session::default();
        let lines = ["EHLO x", "MAIL FROM:<a@example.org> SIZE=100 BODY=8BITMIME", "rcpt to:<β@example.org>", "DATA"];
        assert_eq!(replies(&mut session, &lines), ["250", "250", "250", "354"]);
        let expected = Envelope { from: Some("a@example.org".to_owned()), to: vec!["β@example.org".to_owned()] };
        assert_eq!(session.take_envelope(), expected);
    }

    #[test]
    fn commands_out_of_order_are_refused() {
        let lines = [
            "MAIL FROM:<a@b>",
            "EHLO x",
            "RCPT TO:<a@b>",
            "DATA",
            "MAIL FROM:<>",
            "DATA",
            "RCPT TO:a@b",
            "MÄIL ü",
            "TURN",
        ];
        let expected = ["503", "250", "503", "503", "250", "503", "501", "500", "500"];
        assert_eq!(replies(&mut Session::default(), &lines), expected);
    }

    #[test]
    fn a_mail_that_says_it_is_too_large_is_refused_at_once() {
        let lines = ["EHLO x", "MAIL FROM:<a@b> SIZE=26214401", "MAIL FROM:<a@b> SIZE=26214400"];
        assert_eq!(replies(&mut Session::default(), &lines), ["250", "552", "250"]);
    }

    #[test]
    fn both_ways_to_log_in_are_accepted() {
        let lines =
            ["AUTH PLAIN AGEAYg==", "AUTH PLAIN", "AGEAYg==", "AUTH LOGIN", "YQ==", "Yg==", "AUTH LOGIN", "*", "NOOP"];
        let expected = ["235", "334", "235", "334", "334", "235", "334", "501", "250"];
        assert_eq!(replies(&mut Session::default(), &lines), expected);
    }

    #[test]
    fn rset_forgets_the_envelope() {
        let mut session = Session::default();
        replies(&mut session, &["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RSET"]);
        assert_eq!(session.take_envelope(), Envelope::default());
    }
}
