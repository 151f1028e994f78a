//! Draws one proof from a JSON file, as `packet` does with packets: `cargo run -p regflow-typeset --example proof -- IN.json OUT.pdf`.

use std::error::Error;
use std::fs;

use packet::ProofDocument;
use regflow_typeset::PacketRenderer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output]: [String; 2] = arguments.try_into().map_err(|_| "usage: proof IN.json OUT.pdf")?;
    let proof: ProofDocument = serde_json::from_str(&fs::read_to_string(input)?)?;
    let packet = PacketRenderer::new(None)?.render_proof(&proof, jiff::Timestamp::now())?;
    fs::write(&output, &packet.pdf)?;
    println!("{output}: {} pages, PDF/UA {}, missing {:?}", packet.pages, packet.pdf_ua, packet.missing_glyphs);
    Ok(())
}
