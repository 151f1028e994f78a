//! What an event keeps elsewhere: the key of a person's data, and files. Whoever erases needs all of them.

use crate::event::Event;
use crate::id::PersonKeyId;
use crate::outcome::ObjectRef;

impl Event {
    /// The key that seals the details in it.
    #[must_use]
    pub const fn person_key(&self) -> Option<PersonKeyId> {
        match self {
            Self::Submitted(submitted) => Some(submitted.person_key),
            Self::Corrected(corrected) => Some(corrected.person_key),
            Self::Dispatched(_)
            | Self::AttemptStarted(_)
            | Self::AttemptSucceeded(_)
            | Self::AttemptFailed(_)
            | Self::RetryScheduled(_)
            | Self::RegistrationSucceeded(_)
            | Self::OutcomeUnknown(_)
            | Self::ManualRequired(_)
            | Self::PacketSent(_)
            | Self::PacketFailed(_)
            | Self::UserCompleted(_)
            | Self::CorrectionNeeded(_)
            | Self::RetryRequested(_)
            | Self::Cancelled(_)
            | Self::Held(_)
            | Self::MethodSkipped(_)
            | Self::MakerThrottled(_)
            | Self::AttemptRepeated(_)
            | Self::LookupScheduled(_)
            | Self::FoundUnregistered(_)
            | Self::LookupGivenUp(_)
            | Self::DeadlineNear(_)
            | Self::Expired(_)
            | Self::LeftInDoubt(_)
            | Self::OwnerMailed(_)
            | Self::OwnerMailFailed(_)
            | Self::PacketOpened(_)
            | Self::PersonForgotten(_)
            | Self::PersonErased(_) => None,
        }
    }

    /// The file that it tells of.
    #[must_use]
    pub const fn file(&self) -> Option<&ObjectRef> {
        match self {
            Self::Submitted(submitted) => submitted.proof.as_ref(),
            Self::AttemptSucceeded(done) => done.evidence.as_ref(),
            Self::AttemptFailed(failed) => failed.evidence.as_ref(),
            Self::PacketSent(sent) => Some(&sent.pdf),
            Self::UserCompleted(done) => done.photo.as_ref(),
            Self::Dispatched(_)
            | Self::AttemptStarted(_)
            | Self::RetryScheduled(_)
            | Self::RegistrationSucceeded(_)
            | Self::OutcomeUnknown(_)
            | Self::ManualRequired(_)
            | Self::PacketFailed(_)
            | Self::CorrectionNeeded(_)
            | Self::Corrected(_)
            | Self::RetryRequested(_)
            | Self::Cancelled(_)
            | Self::Held(_)
            | Self::MethodSkipped(_)
            | Self::MakerThrottled(_)
            | Self::AttemptRepeated(_)
            | Self::LookupScheduled(_)
            | Self::FoundUnregistered(_)
            | Self::LookupGivenUp(_)
            | Self::DeadlineNear(_)
            | Self::Expired(_)
            | Self::LeftInDoubt(_)
            | Self::OwnerMailed(_)
            | Self::OwnerMailFailed(_)
            | Self::PacketOpened(_)
            | Self::PersonForgotten(_)
            | Self::PersonErased(_) => None,
        }
    }
}
