//! regflow.v1.Catalog: what a form for people must ask for.

use std::sync::Arc;

use connectors::Connector;
use events::policy::DeadlineFrom;
use handlers::World;
use proto::v1;
use proto::v1::catalog_server::Catalog;
use tonic::{Request, Response, Status};

use super::wire;

/// The catalog service.
#[derive(Clone)]
pub struct CatalogService {
    pub world: Arc<World>,
}

#[tonic::async_trait]
impl Catalog for CatalogService {
    async fn list_connectors(
        &self,
        _: Request<v1::ListConnectorsRequest>,
    ) -> Result<Response<v1::ListConnectorsResponse>, Status> {
        let mut known: Vec<&Connector> = self.world.catalog.iter().map(AsRef::as_ref).collect();
        known.sort_by_key(|connector| (connector.is_generic(), connector.name().to_lowercase()));
        let connectors = known.into_iter().map(shown).collect();
        Ok(Response::new(v1::ListConnectorsResponse { connectors }))
    }
}

fn shown(connector: &Connector) -> v1::Connector {
    let rule = connector.deadline_rule();
    let guide = connector.serial_guide().map(|guide| v1::SerialGuide {
        hint: guide.hint.clone(),
        example: guide.example.clone(),
        location: guide.location.clone().unwrap_or_default(),
    });
    v1::Connector {
        maker: connector.id().to_owned(),
        display_name: connector.name().to_owned(),
        brands: connector.brands().map(str::to_owned).collect(),
        ladder: connector.ladder().iter().map(|method| wire::method(Some(*method)).into()).collect(),
        fields: fields(connector),
        serial: guide,
        register_by_days: rule.map(|rule| rule.days),
        register_by_from: rule.map(|rule| day_in_words(rule.from).to_owned()).unwrap_or_default(),
        register_by_countries: rule.map(|rule| rule.countries.clone()).unwrap_or_default(),
    }
}

/// Those that the maker cannot do without first, each in the order of its file.
fn fields(connector: &Connector) -> Vec<v1::ConnectorField> {
    let required = connector.required();
    let others = connector.sends().iter().filter(|field| !required.contains(field));
    let field = |field: &String, required| v1::ConnectorField { field: field.clone(), required };
    required.iter().map(|name| field(name, true)).chain(others.map(|name| field(name, false))).collect()
}

const fn day_in_words(day: DeadlineFrom) -> &'static str {
    match day {
        DeadlineFrom::Purchase => "purchase",
        DeadlineFrom::Installation => "installation",
        DeadlineFrom::Delivery => "delivery",
    }
}
