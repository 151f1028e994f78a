//! Writes the three letters as HTML files, to look at while changing the templates: `cargo run -p regflow-mail --example letters -- FOLDER`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use jiff::civil::date;
use regflow_mail::{CorrectionLetter, PacketLetter, Problem, SuccessLetter, Templates};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: letters FOLDER")?;
    let templates = Templates::new()?;
    let letters = [
        ("packet", templates.render_packet(&packet())?),
        ("success", templates.render_success(&success())?),
        ("correction", templates.render_correction(&correction())?),
    ];
    for (name, letter) in letters {
        fs::write(folder.join(name).with_extension("html"), letter.html)?;
        println!("Subject: {}\n\n{}\n", letter.subject, letter.text);
    }
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

fn success() -> SuccessLetter {
    SuccessLetter {
        owner_name: "Ελένη Παπαδοπούλου".to_owned(),
        product: "Norrland Frost 300".to_owned(),
        maker: "Norrland Appliances".to_owned(),
        reference: "RF-3H8C-5W2E".to_owned(),
        method: "directly with the maker's system".to_owned(),
        confirmation: Some("NR-204417".to_owned()),
        warranty_until: Some(date(2031, 11, 14)),
    }
}

fn correction() -> CorrectionLetter {
    CorrectionLetter {
        owner_name: "Zoë Müller".to_owned(),
        product: "Castello Forno 60".to_owned(),
        maker: "Castello Cucina".to_owned(),
        reference: "RF-9T1B-4L6N".to_owned(),
        problems: vec![
            Problem {
                field: "Serial number".to_owned(),
                message: "It has four digits, three letters and five digits, like 2024-CAS-00731.".to_owned(),
                entered: Some("2024CAS731".to_owned()),
            },
            Problem {
                field: "Date of purchase".to_owned(),
                message: "It lies before the product was first sold.".to_owned(),
                entered: Some("1 February 1998".to_owned()),
            },
        ],
        mend_link: Some("https://regflow.example/mend/9T1B4L6N".to_owned()),
        mend_hint: "The serial number is on the silver label inside the oven door. You can also answer with the reference RF-9T1B-4L6N.".to_owned(),
    }
}
