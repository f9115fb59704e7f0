//! The first start: a number, and the code that comes to it.

use std::io;

use crossterm::event::{Event as Key, KeyCode, KeyEventKind, KeyModifiers};
use doubletick_client::{Client, Phone, RegisterError, Reject};
use tokio::sync::mpsc;

use super::input::Input;
use super::terminal::Screen;
use super::view;
use crate::Failure;
use crate::start::Start;

type Keys = mpsc::Receiver<io::Result<Key>>;

/// The client of the profile, registered first if need be; `None` if the user leaves.
///
/// # Errors
/// If the profile cannot be written, or the terminal fails. A server that cannot be reached, or says no, is shown, and asked again.
pub(super) async fn registered(start: Start, screen: &mut Screen, keys: &mut Keys) -> Result<Option<Client>, Failure> {
    if start.account.is_some() {
        return start.start().map(Some);
    }
    let (mut phone, mut trouble) = (start.phone.clone(), None);
    // A code that was given on the command line is tried once.
    let mut code = start.code.clone();
    'number: loop {
        let number = match phone.take() {
            Some(number) => number,
            None => {
                let Some(answer) = ask(screen, keys, "What is your phone number, in international form?", trouble.take()).await? else {
                    return Ok(None);
                };
                let Some(number) = Phone::parse(&answer) else {
                    trouble = Some(format!("{answer:?} is no phone number in international form, such as +4915100000001."));
                    continue;
                };
                number
            }
        };
        screen.0.draw(|frame| view::draw_question(frame, &format!("Asking {} to send a code to {number} …", start.server), "", None))?;
        if let Err(error) = start.profile.register(&number).await {
            let question = format!("Press Enter to ask for a code for {number} again.");
            if ask(screen, keys, &question, Some(again(error)?)).await?.is_none() {
                return Ok(None);
            }
            phone = Some(number);
            continue;
        }
        let question = format!(
            "A verification code was sent to {number}. What is it?\n\nIf you run the server yourself: it is in the server's log. \
             Without a code, Enter asks for another one."
        );
        loop {
            let answer = match code.take() {
                Some(code) => code,
                None => match ask(screen, keys, &question, trouble.take()).await? {
                    Some(answer) => answer,
                    None => return Ok(None),
                },
            };
            if answer.is_empty() {
                phone = Some(number);
                continue 'number;
            }
            match start.profile.verify(&answer, &start.name).await {
                Ok(_) => return start.start().map(Some),
                Err(error) => {
                    let void = matches!(error, RegisterError::Refused { reject: Some(Reject::CodeVoid), .. });
                    trouble = Some(again(error)?);
                    if void {
                        phone = Some(number);
                        continue 'number;
                    }
                }
            }
        }
    }
}

/// What the user is told before another try.
///
/// # Errors
/// If another try is of no use.
fn again(error: RegisterError) -> Result<String, Failure> {
    if let RegisterError::Storage(error) = error { Err(error.into()) } else { Ok(format!("{error}.")) }
}

/// `None` if the user leaves.
#[allow(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
async fn ask(screen: &mut Screen, keys: &mut Keys, question: &str, trouble: Option<String>) -> Result<Option<String>, Failure> {
    let mut input = Input::default();
    loop {
        screen.0.draw(|frame| view::draw_question(frame, question, input.text(), trouble.as_deref()))?;
        let Some(key) = keys.recv().await else { return Ok(None) };
        match key? {
            Key::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(None),
                KeyCode::Esc => return Ok(None),
                KeyCode::Enter => return Ok(Some(input.text().trim().to_owned())),
                KeyCode::Backspace => input.backspace(),
                KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => input.insert(c.encode_utf8(&mut [0; 4])),
                _ => {}
            },
            Key::Paste(text) => input.insert(text.trim()),
            Key::Key(_) | Key::Mouse(_) | Key::Resize(..) | Key::FocusGained | Key::FocusLost => {}
        }
    }
}
