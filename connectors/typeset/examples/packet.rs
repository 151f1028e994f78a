//! Draws one packet from a JSON file, to look at while changing the template: `cargo run -p regflow-typeset --example packet -- IN.json OUT.pdf`.

use std::error::Error;
use std::fs;

use packet::PacketData;
use regflow_typeset::PacketRenderer;

fn main() -> Result<(), Box<dyn Error>> {
    let [input, output] = arguments()?;
    let data: PacketData = serde_json::from_str(&fs::read_to_string(input)?)?;
    let packet = PacketRenderer::new(None)?.render(&data, jiff::Timestamp::now())?;
    fs::write(&output, &packet.pdf)?;
    println!("{output}: {} pages, PDF/UA {}, missing {:?}", packet.pages, packet.pdf_ua, packet.missing_glyphs);
    Ok(())
}

fn arguments() -> Result<[String; 2], Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: packet IN.json OUT.pdf".into())
}
