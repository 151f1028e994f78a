//! regflow.v1.Operations: what operators do with makers, and how the makers are doing.

use std::sync::Arc;

use events::{FieldProblem, Method};
use handlers::operations::{self, Wish};
use handlers::webhooks::Webhooks;
use handlers::{EngineHandle, World};
use proto::v1::operations_server::Operations;
use proto::v1::{self, CircuitPosition};
use tonic::{Code, Request, Response, Status};

use super::caller::{pass, sight};
use super::redrive::Redrive;
use super::views::Views;
use super::{convert, errors, makers, webhooks};

/// The operations service.
#[derive(Clone)]
pub struct OperationsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
    pub engine: EngineHandle,
    pub webhooks: Webhooks,
}

/// Who wants something of which maker, and why.
struct Order {
    maker: String,
    reason: String,
    operator: String,
}

impl OperationsService {
    async fn operate(&self, order: Order, wish: Wish) -> Result<Response<v1::OperationResponse>, Status> {
        let Order { maker, reason, operator } = order;
        let done = operations::operate(&self.world, &maker, wish, reason, operator).await;
        let sequence = done.map_err(|error| errors::of_operation(&error, &self.world.catalog))?;
        // whoever submits after this answer must not be let through by an engine that has not heard of it
        self.engine.obeys(sequence).await;
        Ok(Response::new(v1::OperationResponse { sequence }))
    }

    fn check_maker(&self, maker: &str) -> Result<(), Status> {
        match self.world.catalog.get(maker) {
            Some(_) => Ok(()),
            None => Err(errors::maker_not_found(&self.world.catalog, maker)),
        }
    }
}

#[tonic::async_trait]
impl Operations for OperationsService {
    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::OperationResponse>, Status> {
        let (pass, request) = (pass(&request)?.clone(), request.into_inner());
        let v1::PauseRequest { maker, method, reason, operator } = request;
        let operator = pass.operator(operator);
        let method = convert::method("method", method)?;
        self.operate(Order { maker, reason, operator }, Wish::Pause(method)).await
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Result<Response<v1::OperationResponse>, Status> {
        let (pass, request) = (pass(&request)?.clone(), request.into_inner());
        let v1::ResumeRequest { maker, method, reason, operator } = request;
        let operator = pass.operator(operator);
        let method = convert::method("method", method)?;
        self.operate(Order { maker, reason, operator }, Wish::Resume(method)).await
    }

    async fn force_circuit(
        &self,
        request: Request<v1::ForceCircuitRequest>,
    ) -> Result<Response<v1::OperationResponse>, Status> {
        let (pass, mut request) = (pass(&request)?.clone(), request.into_inner());
        request.operator = pass.operator(request.operator);
        let wish = forced(&request)?;
        let v1::ForceCircuitRequest { maker, reason, operator, .. } = request;
        self.operate(Order { maker, reason, operator }, wish).await
    }

    async fn release_circuit(
        &self,
        request: Request<v1::ReleaseCircuitRequest>,
    ) -> Result<Response<v1::OperationResponse>, Status> {
        let (pass, request) = (pass(&request)?.clone(), request.into_inner());
        let v1::ReleaseCircuitRequest { maker, method, reason, operator } = request;
        let operator = pass.operator(operator);
        match convert::method("method", method)? {
            Some(method) => self.operate(Order { maker, reason, operator }, Wish::Release(method)).await,
            None => Err(errors::invalid(&with_why(vec![no_method()], &reason, &operator))),
        }
    }

    async fn list_makers(
        &self,
        request: Request<v1::ListMakersRequest>,
    ) -> Result<Response<v1::ListMakersResponse>, Status> {
        let maker = convert::optional(request.into_inner().maker);
        if let Some(maker) = &maker {
            self.check_maker(maker)?;
        }
        let mut known = self.engine.makers().await;
        // the generic one is always there
        if known.is_empty() {
            let text = "the engine does not answer; try again soon";
            return Err(errors::passing(Code::Unavailable, "ENGINE_UNAVAILABLE", text));
        }
        known.retain(|status| maker.as_ref().is_none_or(|maker| *maker == status.connector));
        let makers = known.into_iter().map(|status| makers::maker(status, &self.world.catalog)).collect();
        Ok(Response::new(v1::ListMakersResponse { makers }))
    }

    async fn redrive(&self, request: Request<v1::RedriveRequest>) -> Result<Response<v1::RedriveResponse>, Status> {
        let (pass, mut request) = (pass(&request)?.clone(), request.into_inner());
        request.operator = pass.operator(request.operator);
        let redrive = Redrive::read(&request)?;
        if let Some(maker) = &redrive.filter.maker {
            self.check_maker(maker)?;
        }
        self.views.check_ready()?;
        redrive.run(&self.world, &self.views).await.map(Response::new)
    }

    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        let sight = sight(&request)?;
        let seen = self.webhooks.list().await.into_iter();
        let seen = seen.filter(|webhook| sight.tenant().is_none_or(|tenant| webhook.tenant == tenant));
        let webhooks = seen.map(webhooks::status).collect();
        Ok(Response::new(v1::ListWebhooksResponse { webhooks }))
    }

    async fn redeliver_webhooks(
        &self,
        request: Request<v1::RedeliverWebhooksRequest>,
    ) -> Result<Response<v1::RedeliverWebhooksResponse>, Status> {
        let (pass, mut request) = (pass(&request)?.clone(), request.into_inner());
        request.operator = pass.operator(request.operator);
        request.tenant = pass.sight.tenant().map_or(request.tenant, str::to_owned);
        let redelivery = webhooks::redelivery(request)?;
        let done = self.webhooks.redeliver(&redelivery.tenant, &redelivery.name, redelivery.again).await;
        let notifications = done.map_err(|error| webhooks::refused(&error))?;
        Ok(Response::new(v1::RedeliverWebhooksResponse { notifications }))
    }
}

/// The wish to hold a circuit, or everything that is wrong with it.
fn forced(request: &v1::ForceCircuitRequest) -> Result<Wish, Status> {
    let method = convert::method("method", request.method)?.ok_or_else(no_method);
    let wish: Result<fn(Method) -> Wish, _> = match CircuitPosition::try_from(request.position) {
        Ok(CircuitPosition::Open) => Ok(Wish::ForceOpen),
        Ok(CircuitPosition::Closed) => Ok(Wish::ForceClosed),
        Ok(CircuitPosition::Unspecified) | Err(_) => {
            Err(FieldProblem::new("position", "is missing or unknown; use OPEN or CLOSED"))
        }
    };
    match (method, wish) {
        (Ok(method), Ok(wish)) => Ok(wish(method)),
        (method, wish) => {
            let problems = [method.err(), wish.err()].into_iter().flatten().collect();
            Err(errors::invalid(&with_why(problems, &request.reason, &request.operator)))
        }
    }
}

fn no_method() -> FieldProblem {
    let names = format!("{} or {}", Method::Api, Method::AutomationReliable);
    FieldProblem::new("method", format!("is missing; name the method whose circuit is meant: {names}"))
}

/// What else is wrong, so that all of it is told at once.
fn with_why(mut problems: Vec<FieldProblem>, reason: &str, operator: &str) -> Vec<FieldProblem> {
    problems.extend(operations::said_why(reason, operator));
    problems
}
