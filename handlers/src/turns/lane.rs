//! Lanes: what shares our own means, whatever the maker.

use events::Method;

/// Work that shares a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Calls of makers' APIs.
    Api,
    /// Browsers.
    Form,
    /// Packets and mail.
    Manual,
    /// Questions to makers, and attempts that a crash interrupted.
    Ask,
    /// Notes in the log: nothing leaves the house.
    Note,
}

impl Lane {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Note, Self::Ask, Self::Api, Self::Form, Self::Manual];

    /// The lane of a method.
    pub(crate) const fn of(method: Method) -> Self {
        match method {
            Method::Api => Self::Api,
            Method::AutomationReliable => Self::Form,
            Method::AssistedManual => Self::Manual,
        }
    }

    /// The method whose lines stand in front of it, if any do.
    pub(super) const fn guarded(self) -> Option<Method> {
        match self {
            Self::Api => Some(Method::Api),
            Self::Form => Some(Method::AutomationReliable),
            Self::Manual | Self::Ask | Self::Note => None,
        }
    }
}
