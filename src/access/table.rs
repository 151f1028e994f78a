//! The one table: which role may call what, and how far it then sees. A route of HTTP stands for a row of it.
//!
//! A new RPC needs a line in ROWS, a new route one in ROUTES; what has none is refused, in every mode, and the tests name it.
//! A cell with Own or Tenant also needs a service that narrows its answer by the caller's `Sight`.

use super::principal::Reach::{self, All, Nothing, Own, Tenant};
use super::principal::Role;

/// Before each RPC's name in a path.
const PACKAGE: &str = "/regflow.v1.";

/// A row: its name, and a cell for each role in the order of `Role::ALL`.
type Row = (&'static str, [Reach; 5]);

/// Every RPC, and what else is guarded (in lower case).
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    //                                   owner    service  operator auditor  admin
    ("Registrations/Submit",            [Own,     Tenant,  All,     Nothing, All]),
    ("Registrations/SubmitBatch",       [Own,     Tenant,  All,     Nothing, All]),
    ("Registrations/Get",               [Own,     Tenant,  All,     All,     All]),
    ("Registrations/List",              [Own,     Tenant,  All,     All,     All]),
    ("Registrations/Watch",             [Own,     Tenant,  All,     All,     All]),
    ("Registrations/Complete",          [Own,     Tenant,  All,     Nothing, All]),
    ("Registrations/Cancel",            [Own,     Tenant,  All,     Nothing, All]),
    ("Registrations/Retry",             [Own,     Tenant,  All,     Nothing, All]),
    ("Registrations/Explain",           [Own,     Tenant,  All,     All,     All]),
    ("Audit/Replay",                    [Own,     Tenant,  All,     All,     All]),
    ("Audit/Export",                    [Own,     Tenant,  All,     All,     All]),
    ("Audit/AsOf",                      [Nothing, Nothing, All,     All,     All]),
    ("Audit/Verify",                    [Nothing, Nothing, All,     All,     All]),
    ("Audit/AcceptLog",                 [Nothing, Nothing, All,     Nothing, All]),
    ("Audit/GetLogState",               [Nothing, Nothing, All,     All,     All]),
    ("Proofs/GetProof",                 [Own,     Tenant,  All,     All,     All]),
    ("Persons/Report",                  [Own,     Tenant,  All,     All,     All]),
    ("Persons/Forget",                  [Own,     Tenant,  All,     Nothing, All]),
    ("Persons/RotateMasterKey",         [Nothing, Nothing, Nothing, Nothing, All]),
    ("Catalog/ListConnectors",          [All,     All,     All,     All,     All]),
    ("Operations/Pause",                [Nothing, Nothing, All,     Nothing, All]),
    ("Operations/Resume",               [Nothing, Nothing, All,     Nothing, All]),
    ("Operations/ForceCircuit",         [Nothing, Nothing, All,     Nothing, All]),
    ("Operations/ReleaseCircuit",       [Nothing, Nothing, All,     Nothing, All]),
    ("Operations/ListMakers",           [Nothing, Nothing, All,     All,     All]),
    ("Operations/Redrive",              [Nothing, Nothing, All,     Nothing, All]),
    ("Operations/ListWebhooks",         [Nothing, Tenant,  All,     All,     All]),
    ("Operations/RedeliverWebhooks",    [Nothing, Tenant,  All,     Nothing, All]),
    ("Analytics/Metrics",               [Nothing, Nothing, All,     All,     All]),
    ("Analytics/Circuits",              [Nothing, Nothing, All,     All,     All]),
    ("Analytics/Health",                [Nothing, Nothing, All,     All,     All]),
    ("Analytics/Incidents",             [Nothing, Nothing, All,     All,     All]),
    ("Analytics/Watch",                 [Nothing, Nothing, All,     All,     All]),
    ("metrics",                         [Nothing, Nothing, All,     All,     All]),
    ("openapi",                         [All,     All,     All,     All,     All]),
];

/// What a route of HTTP asks of who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing; it shows nobody's data.
    Nobody,
    /// A signed link or a code, which the route checks itself.
    Link,
    /// As this row; whoever is not known gets an error that programs read.
    As(&'static str),
    /// The same for a page; whoever is not known is led to the login.
    Page(&'static str),
}

use Need::{As, Link, Nobody, Page};

/// Every route.
#[rustfmt::skip]
pub const ROUTES: &[(&str, &str, Need)] = &[
    ("POST", "/api/registration",                         As("Registrations/Submit")),
    ("POST", "/api/registration/batch",                   As("Registrations/SubmitBatch")),
    ("GET",  "/api/registration",                         As("Registrations/List")),
    ("GET",  "/api/registration/{id}",                    As("Registrations/Get")),
    ("POST", "/api/registration/{id}/complete",           As("Registrations/Complete")),
    ("POST", "/api/registration/{id}/cancel",             As("Registrations/Cancel")),
    ("POST", "/api/registration/{id}/retry",              As("Registrations/Retry")),
    ("GET",  "/api/registration/{id}/explain",            As("Registrations/Explain")),
    ("GET",  "/api/registration/{id}/history",            As("Audit/Replay")),
    ("GET",  "/api/registration/{id}/packet",             As("Registrations/Get")),
    ("GET",  "/api/registration/{id}/evidence/{attempt}", As("Registrations/Get")),
    ("GET",  "/api/registration/{id}/photo",              As("Registrations/Get")),
    ("GET",  "/api/registration/{id}/proof",              As("Registrations/Get")),
    ("GET",  "/api/registration/{id}/proof-of-registration", As("Proofs/GetProof")),
    ("POST", "/api/persons/forget",                       As("Persons/Forget")),
    ("GET",  "/api/audit/replay",                         As("Audit/Export")),
    ("GET",  "/api/audit/as-of",                          As("Audit/AsOf")),
    ("GET",  "/api/makers",                               As("Catalog/ListConnectors")),
    ("GET",  "/api/operations/makers",                    As("Operations/ListMakers")),
    ("POST", "/api/operations/pause",                     As("Operations/Pause")),
    ("POST", "/api/operations/resume",                    As("Operations/Resume")),
    ("POST", "/api/operations/force-circuit",             As("Operations/ForceCircuit")),
    ("POST", "/api/operations/release-circuit",           As("Operations/ReleaseCircuit")),
    ("POST", "/api/operations/redrive",                   As("Operations/Redrive")),
    ("GET",  "/events",                                   As("Registrations/Watch")),
    ("GET",  "/analytics",                                As("Analytics/Metrics")),
    ("GET",  "/analytics/circuits",                       As("Analytics/Circuits")),
    ("GET",  "/analytics/health",                         As("Analytics/Health")),
    ("GET",  "/analytics/incidents",                      As("Analytics/Incidents")),
    ("GET",  "/analytics/overview",                       As("Analytics/Watch")),
    ("GET",  "/metrics",                                  As("metrics")),
    ("GET",  "/openapi.json",                             As("openapi")),
    ("GET",  "/",                                         Page("Registrations/Submit")),
    ("GET",  "/track/{id}",                               Page("Registrations/Get")),
    ("GET",  "/registrations",                            Page("Registrations/List")),
    ("GET",  "/operate",                                  Page("Analytics/Watch")),
    ("GET",  "/healthz",                                  Nobody),
    ("GET",  "/readyz",                                   Nobody),
    ("GET",  "/assets/{*path}",                           Nobody),
    ("GET",  "/login",                                    Nobody),
    ("POST", "/login",                                    Nobody),
    ("POST", "/logout",                                   Nobody),
    ("GET",  "/done",                                     Link),
    ("POST", "/done",                                     Link),
    ("GET",  "/done/{token}",                             Link),
    ("POST", "/done/{token}",                             Link),
    ("POST", "/done/{token}/opened",                      Link),
    ("GET",  "/done/{token}/packet",                      Link),
];

/// How far a role sees by a row; nothing when there is no such row.
pub fn reach(row: &str, role: Role) -> Option<Reach> {
    let cells = ROWS.iter().find(|(name, _)| *name == row).map(|(_, cells)| cells)?;
    Role::ALL.into_iter().zip(cells).find(|(of, _)| *of == role).map(|(_, cell)| *cell)
}

/// The row of an RPC, by its path; nothing for one that is not ours.
pub fn row_of(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix(PACKAGE)?;
    ROWS.iter().map(|(row, _)| *row).find(|row| *row == name)
}

/// What a route asks for; nothing when there is no such route.
pub fn need(method: &str, route: &str) -> Option<Need> {
    // axum answers HEAD by what answers GET
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|(of, path, _)| *of == method && *path == route).map(|(.., need)| *need)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_rpc_has_one_row_and_no_row_is_left_over() {
        let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("our own descriptors");
        let files = set.file.iter().filter(|file| file.package() == "regflow.v1");
        let services = files.flat_map(|file| &file.service);
        let mut rpcs: Vec<String> = services
            .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
            .collect();
        rpcs.sort();
        let named = ROWS.iter().map(|(row, _)| (*row).to_owned());
        let mut rows: Vec<String> = named.filter(|row| row.contains('/')).collect();
        rows.sort();
        assert_eq!(rpcs, rows, "give each RPC one line in ROWS of src/access/table.rs");
    }

    /// A cell as the document has it.
    fn word(cell: &Reach) -> &'static str {
        match cell {
            Nothing => "–",
            Own => "own",
            Tenant => "tenant",
            All => "all",
        }
    }

    /// The text between two marks of the document, replaced.
    fn put(text: &str, mark: &str, lines: &[String]) -> String {
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
        let (head, rest) = text.split_once(&begin).expect("the document has the mark");
        let (_, tail) = rest.split_once(&end).expect("the document has the end of the mark");
        format!("{head}{begin}{}{end}{tail}", lines.concat())
    }

    #[test]
    fn the_document_has_the_same_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
        let text = std::fs::read_to_string(&path).expect("the document is there");
        let cells = |cells: &[Reach; 5]| cells.iter().map(word).collect::<Vec<_>>().join(" | ");
        let head = |text: &str| text.to_owned();
        let row = |(row, of): &Row| format!("| `{row}` | {} |\n", cells(of));
        let heads = head("| call | owner | service | operator | auditor | admin |\n|---|---|---|---|---|---|\n");
        let rows: Vec<String> = std::iter::once(heads).chain(ROWS.iter().map(row)).collect();
        let need = |need: &Need| match need {
            Nobody => "anybody".to_owned(),
            Link => "a signed link".to_owned(),
            As(row) => format!("`{row}`"),
            Page(row) => format!("page `{row}`"),
        };
        let route = |(method, path, of): &(&str, &str, Need)| format!("| `{method} {path}` | {} |\n", need(of));
        let heads = head("| route | as |\n|---|---|\n");
        let routes: Vec<String> = std::iter::once(heads).chain(ROUTES.iter().map(route)).collect();
        let wanted = put(&put(&text, "rows", &rows), "routes", &routes);
        if std::env::var_os("REGFLOW_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &wanted).expect("the document is written");
        }
        assert!(
            text == wanted,
            "docs/access.md differs; REGFLOW_WRITE_GOLDEN=1 writes it anew: look at the difference"
        );
    }

    #[test]
    fn every_route_stands_for_a_row_that_exists() {
        for (method, path, need) in ROUTES {
            if let As(row) | Page(row) = need {
                assert!(
                    ROWS.iter().any(|(name, _)| name == row),
                    "{method} {path} stands for `{row}`, which is no row"
                );
            }
        }
    }

    #[test]
    fn an_auditor_changes_nothing_and_an_admin_may_do_all() {
        for (row, _) in ROWS {
            assert_eq!(reach(row, Role::Admin), Some(All), "{row}");
        }
        for row in ["Registrations/Cancel", "Operations/Pause", "Operations/Redrive", "Registrations/Submit"] {
            assert_eq!(reach(row, Role::Auditor), Some(Nothing), "{row}");
        }
    }

    #[test]
    fn what_has_no_row_is_not_found_under_a_similar_name() {
        assert_eq!(row_of("/regflow.v1.Registrations/Get"), Some("Registrations/Get"));
        for path in ["/regflow.v1.Registrations/Get/", "/regflow.v1.metrics/", "/regflow.v2.Registrations/Get", "/Get"]
        {
            assert_eq!(row_of(path), None, "{path}");
        }
        assert_eq!(need("HEAD", "/metrics"), Some(As("metrics")));
        assert_eq!(need("DELETE", "/metrics"), None);
    }
}
