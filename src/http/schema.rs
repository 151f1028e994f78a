//! JSON Schemas of the contract's messages, made of the same descriptors as the types, with the sentences of the .proto files.
//! The mapping is that of protobuf's JSON form.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value, json};

/// Everything of ours that a document may refer to.
const PACKAGE: &str = ".regflow.v1.";
/// Numbers of fields in google/protobuf/descriptor.proto, of which a comment's path is made.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const MESSAGE_FIELDS: i32 = 2;

/// The schemas of the messages that `roots` name, and of all that stand in them.
pub fn schemas(roots: &[String]) -> BTreeMap<String, Value> {
    let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let known = Known::of(&set);
    let mut found = BTreeMap::new();
    let mut due: Vec<String> = roots.to_vec();
    while let Some(name) = due.pop() {
        if found.contains_key(&name) {
            continue;
        }
        if let Some(schema) = known.schema(&name) {
            references(&schema, &mut due);
            found.insert(name, schema);
        }
    }
    found
}

/// A reference to a schema of the document.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The names that a schema refers to.
fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                names.extend(reference.rsplit('/').next().map(str::to_owned));
            }
            map.values().for_each(|value| references(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Our messages and enums by their names, each with the comments of its file.
struct Known<'a> {
    messages: HashMap<&'a str, (&'a DescriptorProto, Comments<'a>)>,
    enums: HashMap<&'a str, (&'a EnumDescriptorProto, Comments<'a>)>,
}

/// The comments of one message or enum.
#[derive(Clone, Copy)]
struct Comments<'a> {
    file: &'a FileDescriptorProto,
    kind: i32,
    place: i32,
}

impl Comments<'_> {
    /// In one line; of the thing itself, or of its field at `rest`.
    fn at(&self, rest: &[i32]) -> String {
        let path = [&[self.kind, self.place], rest].concat();
        let locations = self.file.source_code_info.iter().flat_map(|info| &info.location);
        let found = locations
            .filter(|location| location.path == path)
            .find_map(|location| location.leading_comments.as_deref());
        found.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl<'a> Known<'a> {
    fn of(set: &'a FileDescriptorSet) -> Self {
        let mut known = Self { messages: HashMap::new(), enums: HashMap::new() };
        for file in set.file.iter().filter(|file| file.package() == "regflow.v1") {
            for (place, message) in (0..).zip(&file.message_type) {
                known.messages.insert(message.name(), (message, Comments { file, kind: FILE_MESSAGES, place }));
            }
            for (place, one) in (0..).zip(&file.enum_type) {
                known.enums.insert(one.name(), (one, Comments { file, kind: FILE_ENUMS, place }));
            }
        }
        known
    }

    fn schema(&self, name: &str) -> Option<Value> {
        if let Some((one, comments)) = self.enums.get(name) {
            let names: Vec<&str> = one.value.iter().map(|value| value.name()).collect();
            return Some(json!({ "type": "string", "enum": names, "description": comments.at(&[]) }));
        }
        let (message, comments) = self.messages.get(name)?;
        let mut properties = Map::new();
        for (place, field) in (0..).zip(&message.field) {
            let mut schema = of_field(message, field);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".into(), comments.at(&[MESSAGE_FIELDS, place]).into());
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let description = comments.at(&[]);
        Some(json!({
            "type": "object", "description": description, "properties": properties, "additionalProperties": false,
        }))
    }
}

fn of_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
    let one = of_one(field);
    if field.label() != Label::Repeated {
        return one;
    }
    let entry = message.nested_type.iter().find(|nested| {
        let is_map = nested.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry);
        is_map && field.type_name().rsplit('.').next() == Some(nested.name())
    });
    match entry.and_then(|entry| entry.field.iter().find(|field| field.name() == "value")) {
        Some(value) => json!({ "type": "object", "additionalProperties": of_one(value) }),
        None => json!({ "type": "array", "items": one }),
    }
}

fn of_one(field: &FieldDescriptorProto) -> Value {
    match field.r#type() {
        Type::Bool => json!({ "type": "boolean" }),
        Type::String => json!({ "type": "string" }),
        Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Type::Double | Type::Float => json!({ "type": "number" }),
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
            json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX })
        }
        Type::Uint32 | Type::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => json!({ "type": "string", "pattern": "^-?[0-9]{1,19}$" }),
        Type::Uint64 | Type::Fixed64 => json!({ "type": "string", "pattern": "^[0-9]{1,20}$" }),
        Type::Message | Type::Enum | Type::Group => of_named(field.type_name()),
    }
}

fn of_named(name: &str) -> Value {
    match name {
        ".google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
        ".google.protobuf.Struct" => json!({ "type": "object" }),
        ours => reference(ours.strip_prefix(PACKAGE).unwrap_or(ours)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_with_all_that_stands_in_it_and_with_its_sentences() {
        let schemas = schemas(&["SubmitRequest".to_owned()]);
        let names: Vec<&str> = schemas.keys().map(String::as_str).collect();
        assert!(names.contains(&"Address") && names.contains(&"Priority") && !names.contains(&"Overview"), "{names:?}");
        let submit = &schemas["SubmitRequest"];
        assert_eq!(submit["properties"]["marketingConsent"]["type"], "boolean");
        assert_eq!(submit["properties"]["extra"]["additionalProperties"]["type"], "string");
        assert_eq!(submit["properties"]["owner"]["$ref"], "#/components/schemas/Owner");
        let told = submit["properties"]["priority"]["description"].as_str();
        assert_eq!(told, Some("Class in the queue."));
    }

    #[test]
    fn times_are_texts_and_large_numbers_too() {
        let schemas = schemas(&["Registration".to_owned()]);
        let fields = &schemas["Registration"]["properties"];
        assert_eq!(fields["submitTime"]["format"], "date-time");
        assert_eq!(fields["sequence"]["type"], "string");
        assert_eq!(fields["attempts"]["type"], "integer");
    }
}
