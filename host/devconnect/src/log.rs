//! The lines of the log on standard error, each of bounded length.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// The longest line, in bytes.
const MAX: usize = 16 << 10;

/// Makes a writer for each line.
pub(crate) struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(io::stderr())
    }
}

/// Writes lines, each of which comes as a whole.
pub(crate) struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let head = head(line);
        if head.len() == line.len() {
            self.0.write_all(line)?;
        } else {
            // In one piece, so that lines of several threads do not mix.
            let end = format!("…({} bytes)\n", line.len());
            self.0.write_all(&[head, end.as_bytes()].concat())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// As much of a line as is written, up to the end of a character.
fn head(line: &[u8]) -> &[u8] {
    if line.len() <= MAX {
        return line;
    }
    let begins_a_character = |at: &usize| line.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80);
    let end = (MAX - 3..=MAX).rev().find(begins_a_character).unwrap_or(MAX);
    line.get(..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str) -> String {
        let mut out = Vec::new();
        Line(&mut out).write_all(line.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_written_as_it_is_up_to_a_bound() {
        for line in ["", "a line\n", &format!("{}\n", "x".repeat(MAX - 1))] {
            assert_eq!(written(line), line);
        }
    }

    #[test]
    fn a_longer_one_is_cut_at_a_character_and_still_ends() {
        for text in ["x", "é", "日", "🙂"] {
            let long = format!("{}\n", text.repeat(1 << 20));
            let cut = written(&long);
            assert!(cut.len() < MAX + 40 && cut.ends_with(&format!("…({} bytes)\n", long.len())), "{}", cut.len());
        }
    }
}
