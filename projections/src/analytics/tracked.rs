//! What is remembered of a registration until nothing more can come of it: its attempt under way, its last day, its packet.

use events::event::AttemptStarted;
use events::{Event, Method};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// One registration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tracked {
    pub connector: String,
    /// The maker's last day for it, if there is one.
    pub last_day: Option<Date>,
    /// Neither cancelled nor expired.
    pub open: bool,
    pub flight: Option<Flight>,
    /// What the funnel counted of it, so that each is counted once.
    pub counted: Counted,
    /// Registered or completed: nothing more can come of it.
    #[serde(skip)]
    pub over: bool,
}

/// An attempt without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub method: Method,
    pub attempt: u32,
}

/// Steps of the funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub required: bool,
    pub sent: bool,
    pub opened: bool,
}

/// How many registrations came how far with a packet; of all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Funnel {
    /// Went to their owner.
    pub required: u64,
    /// Their packet was sent.
    pub sent: u64,
    /// Their owner opened the page behind the link of the mail.
    pub opened: u64,
    /// Their owner said that it is done.
    pub completed: u64,
}

impl Tracked {
    /// The last day that it is counted under, while it is open.
    pub(crate) fn risk(&self) -> Option<Date> {
        self.last_day.filter(|_| self.open && !self.over)
    }

    /// Takes in an event, and counts what it means for the funnel.
    pub(crate) fn apply(&mut self, event: &Event, funnel: &mut Funnel) {
        match event {
            Event::Submitted(submitted) => {
                self.connector.clone_from(&submitted.connector);
                (self.last_day, self.open) = (submitted.register_by, true);
            }
            Event::Corrected(corrected) => self.last_day = corrected.register_by,
            Event::RetryRequested(_) => self.open = true,
            Event::Cancelled(_) | Event::Expired(_) => self.open = false,
            Event::AttemptStarted(started) => self.started(started),
            Event::ManualRequired(_) => once(&mut self.counted.required, &mut funnel.required),
            Event::PacketSent(_) => once(&mut self.counted.sent, &mut funnel.sent),
            Event::PacketOpened(_) => once(&mut self.counted.opened, &mut funnel.opened),
            Event::RegistrationSucceeded(_) => self.over = true,
            Event::UserCompleted(_) => {
                // an attempt whose outcome nobody knew can be completed without a packet
                funnel.completed += u64::from(self.counted.required && !self.over);
                self.over = true;
            }
            // the tally takes these
            Event::AttemptSucceeded(_) | Event::AttemptFailed(_) => {}
            Event::Dispatched(_)
            | Event::RetryScheduled(_)
            | Event::OutcomeUnknown(_)
            | Event::PacketFailed(_)
            | Event::CorrectionNeeded(_)
            | Event::Held(_)
            | Event::MethodSkipped(_)
            | Event::MakerThrottled(_)
            | Event::AttemptRepeated(_)
            | Event::LookupScheduled(_)
            | Event::FoundUnregistered(_)
            | Event::LookupGivenUp(_)
            | Event::DeadlineNear(_)
            | Event::LeftInDoubt(_)
            | Event::OwnerMailed(_)
            | Event::OwnerMailFailed(_)
            | Event::PersonForgotten(_)
            | Event::PersonErased(_) => {}
        }
    }

    fn started(&mut self, started: &AttemptStarted) {
        self.flight = Some(Flight { method: started.method, attempt: started.attempt });
        // empty in records of the first version
        if !started.connector.is_empty() {
            self.connector.clone_from(&started.connector);
        }
    }

    /// The method of the attempt that ended, unless that is not the one under way.
    pub(crate) fn landed(&mut self, attempt: u32) -> Option<Method> {
        self.flight.take_if(|flight| flight.attempt == attempt).map(|flight| flight.method)
    }
}

fn once(counted: &mut bool, count: &mut u64) {
    *count += u64::from(!std::mem::replace(counted, true));
}
