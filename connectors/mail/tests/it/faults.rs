//! What goes wrong, and what each failure says about sending again.

use std::time::{Duration, Instant};

use regflow_mail::{MailError, Mailer};
use tokio::net::TcpListener;

use crate::sink::{Manner, Sink};
use crate::{config, letter, mailer};

async fn outcome(manner: Manner) -> MailError {
    let sink = Sink::start(manner).await;
    mailer(sink.port).send(&letter()).await.unwrap_err()
}

#[tokio::test]
async fn a_4xx_means_busy() {
    assert_eq!(outcome(Manner::AnswersRecipient("451 try later")).await, MailError::Busy { code: 451 });
    assert_eq!(outcome(Manner::AnswersLetter("452 full")).await, MailError::Busy { code: 452 });
    assert_eq!(outcome(Manner::Greets("421 too many")).await, MailError::Busy { code: 421 });
}

#[tokio::test]
async fn a_5xx_about_the_letter_means_refused() {
    let error = outcome(Manner::AnswersRecipient("550 no such user zoe@müller.example")).await;
    assert_eq!(error, MailError::Refused { code: 550 });
    assert!(error.is_permanent());
    assert!(!error.to_string().contains("zoe"), "the server's words may hold personal data");
    assert_eq!(outcome(Manner::AnswersLetter("554 spam")).await, MailError::Refused { code: 554 });
}

#[tokio::test]
async fn a_5xx_about_the_session_is_not_the_letters_fault() {
    for manner in [Manner::Greets("554 no service"), Manner::AnswersRecipient("530 login first")] {
        let error = outcome(manner).await;
        assert!(matches!(error, MailError::Unreachable { .. }), "{error}");
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_letter_means_unreachable() {
    for command in ["EHLO", "MAIL", "RCPT", "DATA"] {
        let error = outcome(Manner::DropsAt(command)).await;
        assert!(matches!(error, MailError::Unreachable { .. }), "{command}: {error}");
    }
}

#[tokio::test]
async fn a_connection_lost_after_the_letter_means_ambiguous() {
    assert_eq!(outcome(Manner::DropsAfterLetter).await, MailError::Ambiguous);
}

#[tokio::test]
async fn nobody_listening_means_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = mailer(port).send(&letter()).await.unwrap_err();
    assert!(matches!(error, MailError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_within_the_timeout() {
    let cases = [(Manner::SilentFromTheStart, false), (Manner::SilentAfterLetter, true)];
    for (manner, may_have_arrived) in cases {
        let sink = Sink::start(manner).await;
        let mut config = config(sink.port);
        config.timeout = Duration::from_millis(300);
        let started = Instant::now();
        let error = Mailer::new(&config).unwrap().send(&letter()).await.unwrap_err();
        assert_eq!(error == MailError::Ambiguous, may_have_arrived, "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_refused_letter_leaves_the_connection_to_the_next() {
    let sink = Sink::start(Manner::AnswersRecipient("550 unknown")).await;
    let mailer = mailer(sink.port);
    for _ in 0..2 {
        assert_eq!(mailer.send(&letter()).await, Err(MailError::Refused { code: 550 }));
    }
    assert_eq!(sink.connections(), 1);
}
