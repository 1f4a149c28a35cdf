//! `devconnect events`: the records of topics, the lag of consumers, rebuilds, and dead letters.

use std::time::{Duration, Instant};

use clap::Subcommand;
use reqwest::Method;
use serde::Serialize;

use crate::command::{AdminClient, Connection};
use admin::{Ends, Lag, Letter, LetterCount, Rebuild, Records};

/// Between two requests of `tail` and of `rebuild`.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Between two lines with the progress of a rebuild.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Print the events of a topic as they come, until Ctrl-C.
    Tail {
        /// The topic, without any prefix.
        topic: String,
        /// With everything that the log still has.
        #[arg(long)]
        from_start: bool,
        /// Print a line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// Say how far each consumer is behind.
    Lag {
        /// Print it for programs.
        #[arg(long)]
        json: bool,
    },
    /// Tell a component everything once more, into documents of its own, and read those when they have come as far as the
    /// ones that are read now. Refused when the topics do not have all their events any more.
    Rebuild {
        /// The component.
        component: String,
        /// Rebuild it from the events that the topics still have; what it made of older ones is lost.
        #[arg(long)]
        partial: bool,
        /// Begin, and do not wait until it is done.
        #[arg(long)]
        no_wait: bool,
    },
    /// Look at dead letters, replay or drop them.
    Dlq {
        /// What to do with them.
        #[command(subcommand)]
        task: Dlq,
    },
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// Those that nothing was done with, the newest first; before them, how many there are for which reason.
    List {
        /// Of this topic only.
        #[arg(long)]
        topic: Option<String>,
        /// How many at most (1 to 1,000).
        #[arg(long, value_name = "LETTERS", default_value_t = 100)]
        limit: u32,
        /// Only those that are older than this one: topic/partition/offset, as the last one of a list has it.
        #[arg(long, value_name = "NAME")]
        before: Option<String>,
        /// Print them for programs.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one.
    Show {
        /// Its name: topic/partition/offset, as `list` has it.
        name: String,
    },
    /// Tell its event to its component again, behind everything that came since: its place in the order is lost.
    Replay {
        /// Its name: topic/partition/offset, as `list` has it.
        name: String,
    },
    /// Never list it again. It stays in its topic.
    Drop {
        /// Its name: topic/partition/offset, as `list` has it.
        name: String,
    },
}

/// Performs a task.
///
/// # Errors
/// When the host refuses, or is not reached.
pub async fn perform(connection: &Connection, task: Task) -> anyhow::Result<()> {
    let client = connection.open()?;
    match task {
        Task::Tail { topic, from_start, json } => tail(&client, &topic, from_start, json).await,
        Task::Lag { json } => lag(&client, json).await,
        Task::Rebuild { component, partial, no_wait } => rebuild(&client, &component, partial, !no_wait).await,
        Task::Dlq { task: Dlq::List { topic, limit, before, json } } => {
            list(&client, topic.as_deref(), limit, before.as_deref(), json).await
        }
        Task::Dlq { task: Dlq::Show { name } } => {
            let letter: Letter = client.get(&format!("/dead-letters/{name}"), &[]).await?;
            print_json(&letter)
        }
        Task::Dlq { task: Dlq::Replay { name } } => {
            let letter: Letter = client.post(&format!("/dead-letters/{name}/replay")).await?;
            println!(
                "{name}: the event {} is told to {} again, behind everything that came since in its key {:?}",
                letter.event, letter.component, letter.key
            );
            Ok(())
        }
        Task::Dlq { task: Dlq::Drop { name } } => {
            let letter: Letter = client.post(&format!("/dead-letters/{name}/drop")).await?;
            println!("{name}: dropped; {} is never told the event {}", letter.component, letter.event);
            Ok(())
        }
    }
}

async fn tail(client: &AdminClient, topic: &str, from_start: bool, json: bool) -> anyhow::Result<()> {
    let ends = async || client.get::<Ends>(&format!("/topics/{topic}/ends"), &[]).await;
    let mut next = ends().await?.ends;
    if from_start {
        next.fill(0);
    }
    loop {
        for (partition, (next, end)) in next.iter_mut().zip(ends().await?.ends).enumerate() {
            while *next < end {
                let (partition, from) = (partition.to_string(), next.to_string());
                let query = [("partition", partition.as_str()), ("from", from.as_str())];
                let batch: Records = client.get(&format!("/topics/{topic}/records"), &query).await?;
                let Some(last) = batch.records.last() else { break };
                *next = last.offset + 1;
                for record in &batch.records {
                    if json {
                        println!("{}", serde_json::to_string(record)?);
                    } else {
                        let (partition, offset) = (record.partition, record.offset);
                        println!("{partition}/{offset:<6} {} {} {}", record.key, record.kind, record.value);
                    }
                }
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn lag(client: &AdminClient, json: bool) -> anyhow::Result<()> {
    let all: Vec<Lag> = client.get("/lag", &[]).await?;
    if json {
        return print_json(&all);
    }
    if all.is_empty() {
        println!("No deployed component has [[event]] topics.");
        return Ok(());
    }
    println!("{:<16} {:<20} {:>9} {:>10} {:>10} {:>8}", "component", "topic", "partition", "finished", "end", "lag");
    for lag in &all {
        let finished = lag.finished.map_or_else(|| "-".to_owned(), |finished| finished.to_string());
        println!(
            "{:<16} {:<20} {:>9} {finished:>10} {:>10} {:>8}",
            lag.component,
            lag.topic,
            lag.partition,
            lag.end,
            lag.events()
        );
    }
    Ok(())
}

async fn rebuild(client: &AdminClient, component: &str, partial: bool, wait: bool) -> anyhow::Result<()> {
    let path = format!("/components/{component}/rebuild");
    let query = [("partial", if partial { "true" } else { "false" })];
    let begun: Rebuild = client.send(Method::POST, &path, &query, None).await?;
    let next = begun.building.unwrap_or(begun.serving);
    println!("{component}: generation {next} is being built; {} is read until it has come as far", begun.serving);
    if !wait {
        return Ok(());
    }
    let (mut printed, mut left) = (Instant::now(), begun.left);
    loop {
        let now: Rebuild = client.get(&path, &[]).await?;
        if now.serving >= next {
            println!("{component}: generation {next} is read from now on");
            return Ok(());
        }
        if printed.elapsed() > PROGRESS_INTERVAL && now.left != left {
            (printed, left) = (Instant::now(), now.left);
            println!("{component}: {left} events to go");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn list(
    client: &AdminClient,
    topic: Option<&str>,
    limit: u32,
    before: Option<&str>,
    json: bool,
) -> anyhow::Result<()> {
    let topic: Vec<(&str, &str)> = topic.map(|topic| ("topic", topic)).into_iter().collect();
    let number = limit.to_string();
    let mut query = topic.clone();
    query.push(("limit", number.as_str()));
    query.extend(before.map(|before| ("before", before)));
    let all: Vec<Letter> = client.get("/dead-letters", &query).await?;
    if json {
        return print_json(&all);
    }
    if before.is_none() {
        let counts: Vec<LetterCount> = client.get("/dead-letters/counts", &topic).await?;
        let open: u64 = counts.iter().map(|kind| kind.count).sum();
        match open {
            0 => println!("There are no dead letters."),
            1 => println!("There is 1 dead letter."),
            open => println!("There are {open} dead letters:"),
        }
        for kind in counts.iter().filter(|_| open > 1) {
            println!("{:>7}  {} {}: {}", kind.count, kind.topic, kind.component, kind.reason);
        }
    } else if all.is_empty() {
        println!("There are no older dead letters.");
    }
    for letter in &all {
        println!("{}  {} {} after {} tries", letter.name, letter.component, letter.kind, letter.attempts);
        println!("    {}", letter.reason.lines().next().unwrap_or_default());
    }
    if let Some(last) = all.last().filter(|_| all.len() >= limit as usize) {
        println!("Older ones: --before {}", last.name);
    }
    Ok(())
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
