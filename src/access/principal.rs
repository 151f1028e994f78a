//! Who somebody is, and how far that lets them see.

use events::Actor;
use handlers::intake::TENANT_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// The pseudonym of an owner.
pub type OwnerRef = [u8; 16];

/// What somebody is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person, with products of their own
    Owner,
    /// A program of a tenant: a shop, an installer, a landlord
    Service,
    /// Somebody who runs regflow: registrations of all tenants, makers, redrives
    Operator,
    /// Somebody who may look at everything and change nothing
    Auditor,
    /// Everything
    Admin,
}

impl Role {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Service, Self::Operator, Self::Auditor, Self::Admin];

    /// As the key file, tokens and people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Service => "service",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The role of such a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// As events and operators' reasons name them; never an e-mail address of an owner.
    pub name: String,
    pub role: Role,
    /// Whose service they come through. Owners and services have one.
    pub tenant: Option<String>,
    /// Owners have one.
    pub owner: Option<OwnerRef>,
    /// Nobody was asked who they are: access.mode is "open".
    pub is_anyone: bool,
}

impl Principal {
    /// Whoever asks where nobody is asked who they are.
    pub fn anyone() -> Self {
        Self { name: String::new(), role: Role::Admin, tenant: None, owner: None, is_anyone: true }
    }

    /// Who holds a signed link to one registration; what the link names is all that its page shows.
    pub fn link() -> Self {
        Self { name: String::new(), role: Role::Owner, tenant: None, owner: None, is_anyone: true }
    }
}

/// Whether a text can stand in the log as who acted.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.contains(char::is_control)
}

/// Whether a text can be a tenant: the intake would take nothing from others.
pub fn is_tenant(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=TENANT_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// A cell of the table: how far a role may see with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The call is refused.
    Nothing,
    /// What belongs to the person.
    Own,
    /// What belongs to the tenant.
    Tenant,
    /// Everything.
    All,
}

/// What a caller sees: everything else is, for them, not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    All,
    Tenant(String),
    Own { tenant: String, owner: OwnerRef },
}

impl Sight {
    /// Whether something of this tenant and owner is there for them.
    pub fn sees(&self, tenant: &str, owner: &OwnerRef) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(own) => own == tenant,
            Self::Own { tenant: own_tenant, owner: own } => own_tenant == tenant && own == owner,
        }
    }

    /// The one tenant that they see something of; nothing for all.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Tenant(tenant) | Self::Own { tenant, .. } => Some(tenant),
        }
    }

    /// The one owner that they see something of; nothing for all.
    pub const fn owner(&self) -> Option<OwnerRef> {
        match self {
            Self::All | Self::Tenant(_) => None,
            Self::Own { owner, .. } => Some(*owner),
        }
    }
}

/// A call that was let in: by whom, through which interface, and what it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    pub principal: Principal,
    pub sight: Sight,
    /// "grpc" or "http": the client's name where nobody is asked who they are.
    interface: &'static str,
}

impl Pass {
    /// Nothing where the cell says so, or where the principal lacks what the cell speaks of.
    pub fn new(principal: Principal, reach: Reach, interface: &'static str) -> Option<Self> {
        let sight = match reach {
            Reach::Nothing => return None,
            Reach::Own => Sight::Own { tenant: principal.tenant.clone()?, owner: principal.owner? },
            Reach::Tenant => Sight::Tenant(principal.tenant.clone()?),
            Reach::All => Sight::All,
        };
        Some(Self { principal, sight, interface })
    }

    /// Who acts, as events name them.
    pub fn actor(&self) -> Actor {
        let Principal { name, role, is_anyone, .. } = &self.principal;
        if *is_anyone {
            return Actor::Client(self.interface.to_owned());
        }
        match role {
            Role::Owner => Actor::Owner,
            Role::Service => Actor::Client(name.clone()),
            Role::Operator | Role::Auditor | Role::Admin => Actor::Operator(name.clone()),
        }
    }

    /// The name of the operator who acts: what somebody says of themselves counts only where nobody is asked.
    pub fn operator(&self, said: String) -> String {
        if self.principal.is_anyone { said } else { self.principal.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(tenant: Option<&str>, owner: Option<OwnerRef>) -> Principal {
        let tenant = tenant.map(str::to_owned);
        Principal { name: "crm".into(), role: Role::Owner, tenant, owner, is_anyone: false }
    }

    #[test]
    fn who_lacks_what_a_cell_speaks_of_is_not_let_in() {
        let passes = |principal, reach| Pass::new(principal, reach, "grpc").is_some();
        assert!(passes(owner(Some("shop"), Some([1; 16])), Reach::Own));
        assert!(!passes(owner(None, Some([1; 16])), Reach::Own));
        assert!(!passes(owner(Some("shop"), None), Reach::Own));
        assert!(!passes(owner(None, None), Reach::Tenant));
        assert!(!passes(Principal::anyone(), Reach::Nothing));
    }

    #[test]
    fn a_person_sees_only_what_is_theirs_with_this_tenant() {
        let sight = Sight::Own { tenant: "shop".into(), owner: [1; 16] };
        assert!(sight.sees("shop", &[1; 16]));
        assert!(!sight.sees("shop", &[2; 16]) && !sight.sees("other", &[1; 16]));
        assert!(Sight::Tenant("shop".into()).sees("shop", &[2; 16]));
        assert!(!Sight::Tenant("shop".into()).sees("shopping", &[2; 16]));
    }

    #[test]
    fn an_operator_cannot_act_under_another_name() {
        let known = Principal { role: Role::Operator, name: "ada".into(), ..owner(None, None) };
        let pass = |principal| Pass::new(principal, Reach::All, "grpc").expect("let in");
        assert_eq!(pass(known.clone()).operator("bob".into()), "ada");
        assert_eq!(pass(known).actor(), Actor::Operator("ada".into()));
        assert_eq!(pass(Principal::anyone()).operator("bob".into()), "bob");
        assert_eq!(pass(Principal::anyone()).actor(), Actor::Client("grpc".into()));
    }
}
