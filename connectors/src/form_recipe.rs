//! The form section of a connector: a recipe of the form crate whose templates are ours.

use events::Details;
use outbound::Reach;

use crate::connector::Connector;
use crate::expression::TemplateError;
use crate::file::Network;
use crate::sent::Sent;
use crate::template::Template;

/// The recipe of a connector's form with these details in it. At a few forms a second its templates need no compiling ahead;
/// that they compile was checked when the file was loaded.
pub(crate) fn render(connector: &Connector, details: &Details) -> Result<form::Recipe, TemplateError> {
    let Some(recipe) = &connector.plan().form else { return Err(unusable("the connector has no form")) };
    let sent = Sent::new(details, &connector.plan().declared, "");
    let address = template(&recipe.url)?.url(&sent)?;
    let url = connector.resolve(&address);
    let url = url.ok_or_else(|| unusable("the maker is in the sandbox, and there is none"))?;
    let mut fill = |text: &str| template(text)?.text(&sent);
    let reach = match connector.network() {
        Network::Public => Reach::Public,
        Network::Private => Reach::Private,
    };
    Ok(form::Recipe { reach, ..recipe.render(url, &mut fill)? })
}

fn template(text: &str) -> Result<Template, TemplateError> {
    Template::compile(text).map_err(|problem| TemplateError { expression: text.to_owned(), reason: problem })
}

fn unusable(reason: &str) -> TemplateError {
    TemplateError { expression: "form".to_owned(), reason: reason.to_owned() }
}
