//! Shows pictures: one in the place of the other on a terminal, one under the other elsewhere.

use std::env;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The other screen of the terminal, without a cursor and without lines that go on in the next one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const TO_THE_TOP: &str = "\x1b[H";
const CLEAR_THE_LINE: &str = "\x1b[K";
const CLEAR_THE_REST: &str = "\x1b[J";

/// Whether pictures have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Colours,
}

impl Style {
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// By its number among a terminal's colours.
    pub fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Colours => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

pub struct Screen {
    is_terminal: bool,
    every: Duration,
    style: Style,
    /// Stands under each picture on a terminal.
    footer: String,
    next: Instant,
    /// The terminal shows the other screen.
    is_entered: bool,
}

impl Screen {
    /// A picture `every` so often.
    pub fn new(is_terminal: bool, every: Duration, footer: String) -> Screen {
        let colours = is_terminal && env::var_os("NO_COLOR").is_none();
        let style = if colours { Style::Colours } else { Style::Plain };
        Screen { is_terminal, every, style, footer, next: Instant::now(), is_entered: false }
    }

    /// That pictures are to have.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether it is time for a picture.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Makes the next picture due in this time.
    pub fn set_due_in(&mut self, time: Duration) {
        self.next = Instant::now() + time;
    }

    /// Shows these lines.
    pub fn show(&mut self, out: &mut impl Write, picture: &[String]) -> io::Result<()> {
        if self.is_terminal {
            if !self.is_entered {
                self.is_entered = true;
                write!(out, "{ENTER}")?;
            }
            write!(out, "{TO_THE_TOP}")?;
            for line in picture {
                write!(out, "{line}{CLEAR_THE_LINE}\r\n")?;
            }
            write!(out, "{}{CLEAR_THE_REST}", self.footer)?;
        } else {
            print(out, picture)?;
        }
        self.set_due_in(self.every);
        out.flush()
    }

    /// Gives the terminal back and leaves the last picture there.
    pub fn end(mut self, out: &mut impl Write, picture: &[String]) -> io::Result<()> {
        self.leave(out)?;
        print(out, picture)?;
        out.flush()
    }

    fn leave(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.is_entered {
            self.is_entered = false;
            write!(out, "{LEAVE}")?;
            out.flush()?;
        }
        Ok(())
    }
}

fn print(out: &mut impl Write, picture: &[String]) -> io::Result<()> {
    picture.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Also after a failure the terminal is given back.
impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to be done for a terminal that is gone.
        let _ = self.leave(&mut io::stdout());
    }
}
