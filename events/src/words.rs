//! The words on the wire: methods, priorities, statuses, and why somebody must finish by hand.

use crate::outcome::wire_enum;

wire_enum! {
    /// A way to register a product with its maker.
    Method {
        /// The maker's API.
        Api = 1, "API";
        /// The maker's web form in a real browser.
        AutomationReliable = 2, "AUTOMATION_RELIABLE";
        /// A packet that the owner finishes by hand.
        AssistedManual = 3, "ASSISTED_MANUAL";
    }
}

wire_enum! {
    /// How urgent a registration is.
    Priority {
        /// Premium.
        High = 1, "HIGH";
        /// Regular.
        Normal = 2, "NORMAL";
        /// Bulk.
        Low = 3, "LOW";
    }
}

wire_enum! {
    /// Which mails the person wants.
    MailPreference {
        /// The packet, and a word when it is registered.
        All = 1, "all";
        /// The packet only.
        ManualOnly = 2, "manual_only";
        /// None: a packet is made and kept for them.
        None = 3, "none";
    }
}

impl MailPreference {
    /// Whether the person hears that it is registered.
    #[must_use]
    pub const fn wants_good_news(self) -> bool {
        match self {
            Self::All => true,
            Self::ManualOnly | Self::None => false,
        }
    }

    /// Whether the packet is mailed.
    #[must_use]
    pub const fn wants_packet(self) -> bool {
        match self {
            Self::All | Self::ManualOnly => true,
            Self::None => false,
        }
    }
}

wire_enum! {
    /// Where a registration stands.
    Status {
        /// Accepted, not looked at yet.
        Pending = 1, "PENDING";
        /// An attempt is under way.
        Processing = 2, "PROCESSING";
        /// Waits, with a reason and a time.
        Waiting = 3, "WAITING";
        /// Sent to the maker, and nobody knows whether it was accepted; a person is asked.
        OutcomeUnknown = 4, "OUTCOME_UNKNOWN";
        /// Registered with the maker.
        Success = 5, "SUCCESS";
        /// The owner has, or will get, a packet to finish by hand.
        ManualRequired = 6, "MANUAL_REQUIRED";
        /// The owner said that it is done.
        UserCompleted = 7, "USER_COMPLETED";
        /// The maker refused the data; the person can mend and resubmit.
        NeedsCorrection = 8, "NEEDS_CORRECTION";
        /// Withdrawn.
        Cancelled = 9, "CANCELLED";
        /// The maker's last day passed.
        Expired = 10, "EXPIRED";
    }
}

impl Status {
    /// Whether nothing more happens unless somebody asks for it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Success | Self::UserCompleted | Self::Cancelled | Self::Expired => true,
            Self::Pending
            | Self::Processing
            | Self::Waiting
            | Self::OutcomeUnknown
            | Self::ManualRequired
            | Self::NeedsCorrection => false,
        }
    }

    /// Whether regflow has done its part: final, or it is a person's turn.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Success
            | Self::UserCompleted
            | Self::Cancelled
            | Self::Expired
            | Self::ManualRequired
            | Self::NeedsCorrection
            | Self::OutcomeUnknown => true,
            Self::Pending | Self::Processing | Self::Waiting => false,
        }
    }
}

wire_enum! {
    /// Why a registration went to its owner.
    ManualReason {
        /// The maker takes registrations by hand only.
        MakerIsManualOnly = 1, "maker_is_manual_only";
        /// No maker of this brand is in the catalog.
        UnknownBrand = 2, "unknown_brand";
        /// A captcha stands before the form.
        Captcha = 3, "captcha";
        /// The form is not as we know it.
        FormChanged = 4, "form_changed";
        /// The form wants an account.
        LoginRequired = 5, "login_required";
        /// The last automatic method failed as often as it may.
        MethodsExhausted = 6, "methods_exhausted";
        /// Waiting longer for an automatic method would make it late.
        DeadlineNear = 7, "deadline_near";
    }
}

wire_enum! {
    /// Why a person is forgotten.
    ForgetReason {
        /// The person asked for it.
        PersonAsked = 1, "person_asked";
        /// An authority or a court ordered it.
        Ordered = 2, "ordered";
        /// The person took their consent back.
        ConsentWithdrawn = 3, "consent_withdrawn";
        /// The data is not needed any more: the contract or the time to keep it has ended.
        NoLongerNeeded = 4, "no_longer_needed";
        /// It should never have been taken in: a test, a mistake, somebody else's address.
        WrongData = 5, "wrong_data";
    }
}

wire_enum! {
    /// What a registration waits for whose turn it is.
    HoldReason {
        /// The circuit of the method is open.
        CircuitOpen = 1, "circuit_open";
        /// The maker takes no more attempts for now.
        RateLimit = 2, "rate_limit";
        /// An operator paused the maker or the method.
        Paused = 3, "paused";
        /// Its turn: so many are before it that its last day comes near.
        Turn = 4, "turn";
    }
}

wire_enum! {
    /// Why a method was passed over.
    SkipReason {
        /// Its circuit is open, and another method is there.
        CircuitOpen = 1, "circuit_open";
        /// Waiting for it would make the registration late.
        DeadlineNear = 2, "deadline_near";
    }
}
