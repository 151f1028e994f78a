//! Writes the letter of a packet as an HTML file, to look at while changing the templates: `cargo run -p regflow-mail --example letter -- FOLDER`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use jiff::civil::date;
use regflow_mail::{PacketLetter, Templates};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: letters FOLDER")?;
    let templates = Templates::new()?;
    let letter = templates.render_packet(&packet())?;
    fs::write(folder.join("packet.html"), letter.html)?;
    println!("Subject: {}\n\n{}", letter.subject, letter.text);
    Ok(())
}

fn packet() -> PacketLetter {
    PacketLetter {
        owner_name: "Karoline Bærøe-Lindqvist".to_owned(),
        product: "Veloce Strada 3 Disc".to_owned(),
        maker: "Veloce Bikes".to_owned(),
        reference: "RF-7K4M-2Q9T".to_owned(),
        reason: "Veloce's form asks visitors to prove that they are human, so this last step is yours: we filled in everything else.".to_owned(),
        steps: vec![
            "Open the form with the button above.".to_owned(),
            "Copy the entries from the attached PDF, from top to bottom.".to_owned(),
            "Leave the newsletter box empty unless you want it, tick “I am not a robot” and send the form.".to_owned(),
            "Write down the confirmation number if one is shown.".to_owned(),
        ],
        link: Some("https://veloce.example/register?lang=en".to_owned()),
        register_by: Some(date(2027, 1, 13)),
        done_link: Some("https://regflow.example/done/7K4M2Q9T".to_owned()),
        done_hint: "Tell us, and we stop reminding you. By phone, the reference above is enough.".to_owned(),
    }
}
