//! What developers talk about: pieces of conversation whose lines follow one another, whichever wording is taken of
//! each. Touches nothing.
//!
//! `{a}` and `{b}` are the first names of the two, of whom `a` begins; `{skill}` is something that both know, or that
//! `a` knows; `{builds}` is what `a` builds; `{town}` is where `b` lives.

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Who begins.
    A,
    /// The other one.
    B,
}

/// A line: who says it, and wordings of which one is taken.
pub(super) type Line = (By, &'static [&'static str]);

use By::{A, B};

/// How a conversation begins.
pub(super) const OPENINGS: &[&[Line]] = &[
    &[
        (
            A,
            &["Hi {b}, thanks for connecting!", "Hello {b}, good to be connected.", "Hey {b} 👋 thanks for accepting."],
        ),
        (B, &["Hi {a}! Likewise.", "Hello {a}, glad you wrote.", "Hey {a}, nice to meet you."]),
    ],
    &[
        (A, &["{b}! We met at the meetup, by the coffee machine.", "Hi {b}, we sat next to each other at the meetup."]),
        (B, &["Of course, you had the better questions.", "I remember! You told me about {builds}."]),
    ],
    &[
        (B, &["Hi {a}, your profile made me curious.", "Hello {a}! I had to write when I read your profile."]),
        (A, &["Ha, which part of it?", "Oh no, what did I write again?"]),
        (B, &["That you build {builds}.", "{builds}, of all things. How did that come about?"]),
        (A, &["By accident, like most good things.", "Somebody asked whether I could, and I said yes too fast."]),
    ],
];

/// How it begins between two who know the same.
pub(super) const OPENINGS_IN_COMMON: &[&[Line]] = &[&[
    (A, &["Hi {b}! I saw that you work with {skill}, too.", "Hello {b}, fellow {skill} person!"]),
    (B, &["There are dozens of us 😄 Hi {a}!", "Hi {a}! Yes, most days.", "I do! What are you using it for?"]),
    (A, &["At the moment it is {builds}.", "For {builds}. It fits well so far."]),
]];

/// What they talk about then.
pub(super) const TOPICS: &[&[Line]] = &[
    &[
        (
            A,
            &[
                "Have you run into flaky tests with {skill} lately?",
                "Question: how do you deal with flaky tests around {skill}?",
            ],
        ),
        (
            B,
            &[
                "Every Tuesday, it feels like. Usually it is time.",
                "They are always there. Nine times out of ten it is a sleep somewhere.",
            ],
        ),
        (A, &["Same. I replaced ours by waiting for a condition, and CI is calm now."]),
        (B, &["How long did that take you?", "Was it much work?"]),
        (A, &["Two afternoons. The hard part was finding them all.", "A day, and another day to convince the team."]),
        (B, &["Stealing that idea, thanks.", "I will put it on our board for next week."]),
    ],
    &[
        (
            A,
            &[
                "Do you have a minute to look at a design? It is one page.",
                "Could I borrow your eyes for a short design document?",
            ],
        ),
        (B, &["Sure, send it over.", "Happy to. What is it about?"]),
        (A, &["It is about retries: who may retry what, and when we give up."]),
        (B, &["Good topic. Do the calls have idempotency keys?", "First question, then: is everything idempotent?"]),
        (A, &["All writes are safe to repeat, since last month.", "Nearly. One endpoint is left, and I know which."]),
        (
            B,
            &[
                "Then I would put a budget on retries and call it done.",
                "Then the rest is arithmetic. Add jitter, a deadline and a budget.",
            ],
        ),
        (
            A,
            &[
                "A budget! That was the missing word. Thank you.",
                "That is what the last paragraph says, so I feel confirmed 🙂",
            ],
        ),
    ],
    &[
        (A, &["Are you going to the conference in autumn?", "Will you be at the conference this year?"]),
        (B, &["I handed in a talk, so it depends on the committee.", "Thinking about it. Are you?"]),
        (A, &["I have a ticket. Mostly for the hallway.", "I am going, with two colleagues."]),
        (B, &["Then let's have lunch there.", "Save me a seat at the {skill} table."]),
        (A, &["Deal.", "Will do!"]),
    ],
    &[
        (A, &["We had our first real outage yesterday.", "Last night was long. We had an outage."]),
        (B, &["Ouch. What happened?", "Oh no. What was it?"]),
        (
            A,
            &[
                "A certificate that nobody owned. Forty minutes.",
                "A disk was full, and the alert for it was on the same disk.",
            ],
        ),
        (B, &["A classic. I have that scar, too.", "I should not laugh. We had the same in spring."]),
        (A, &["The post-mortem is on Thursday. I want it to be a kind one."]),
        (
            B,
            &[
                "Begin with what went well, and it will be.",
                "Write the timeline before the meeting. It takes the heat out.",
            ],
        ),
        (A, &["Good advice, I will.", "Noted. I owe you one."]),
    ],
    &[
        (A, &["What are you reading at the moment?", "Are you reading anything good?"]),
        (
            B,
            &[
                "Designing Data-Intensive Applications, for the second time.",
                "A Philosophy of Software Design, slowly.",
            ],
        ),
        (A, &["I liked that one. Which chapter are you in?", "On my list! How far are you?"]),
        (
            B,
            &[
                "The one about consistency. It makes more sense when it has hurt once.",
                "Somewhere in the middle. I read it in trains.",
            ],
        ),
    ],
    &[
        (A, &["We are hiring, by the way. Somebody with {skill}.", "Do you know anybody with {skill} who is looking?"]),
        (B, &["Maybe! What would they do?", "I might. What is it about?"]),
        (
            A,
            &[
                "They would help with {builds}. Remote, four days a week is fine.",
                "They would help with {builds}, from wherever they like.",
            ],
        ),
        (B, &["I will ask a former colleague. She is very good.", "Send me the link, I will pass it on."]),
        (A, &["Thank you! It is the second one on our page.", "That would be great, thanks."]),
    ],
    &[
        (A, &["Tabs or spaces? Just so that I know whom I am dealing with."]),
        (B, &["Whatever the formatter says. I have retired from that war.", "Yes."]),
        (A, &["A diplomat!", "Wise. We can be friends."]),
    ],
    &[
        (
            A,
            &[
                "I am trying to learn {skill} properly. Where would you begin?",
                "If you had to learn {skill} again, what would you do first?",
            ],
        ),
        (B, &["Build something small that you need yourself.", "Write something tiny, and finish it."]),
        (A, &["I thought about a tool that renames my photos.", "Perhaps a tool that sorts my photos."]),
        (
            B,
            &[
                "Perfect. Small enough to finish, real enough to annoy you.",
                "Do that one. You will learn more than from any course.",
            ],
        ),
        (A, &["And when I get stuck?", "May I ask you when I am stuck?"]),
        (B, &["Write to me. I was stuck on all of it once.", "Any time. I answer in the evenings."]),
    ],
    &[
        (A, &["How is the weather in {town}?", "What is the weather like in {town}?"]),
        (B, &["Better than our build.", "Grey and slow, like our build."]),
        (A, &["Is the build that bad?", "What is wrong with the build?"]),
        (B, &["Twenty minutes, most of them for one package.", "It begins anew whenever somebody sneezes."]),
        (
            A,
            &[
                "Have you looked at what it waits for? A timing report helped us.",
                "Ours was like that. A timing report helped.",
            ],
        ),
        (B, &["Not yet. Tomorrow's task, thanks.", "Tomorrow, then. I will tell you what it says."]),
    ],
    &[
        (A, &["Shall we pair on something? I have Friday afternoons.", "Would you like to pair for an hour some day?"]),
        (B, &["Yes! I have a bug that deserves company.", "I would love to, and I know just the bug."]),
        (A, &["What does it do?"]),
        (B, &["It disappears when I look at it.", "It only happens when nobody logs anything."]),
        (A, &["The best kind. Friday at three?"]),
        (B, &["Three is good. I will send a link.", "Looking forward to it."]),
    ],
    &[
        (A, &["Honest question: would you pick {skill} again for a new project?"]),
        (B, &["For what we do, yes. For everything? No.", "I would. The first month is slow, and then it pays back."]),
        (A, &["What would make you change your mind?"]),
        (B, &["If we could not find people for it.", "If the tools stopped getting better."]),
        (A, &["Fair. That matches what we see.", "A good answer. I will quote you."]),
    ],
    &[
        (
            A,
            &[
                "Our latency graph looks like a comb. Any idea?",
                "I looked at our latency again: a spike every minute, like a comb.",
            ],
        ),
        (B, &["Regular teeth? Then something runs on a timer."]),
        (
            A,
            &[
                "There is a job every minute that nobody remembers.",
                "Now that you say it: there is an old clean-up job.",
            ],
        ),
        (B, &["Turn it off for ten minutes and look."]),
        (A, &["You were right. It was that.", "The comb has lost its teeth. It was that."]),
        (B, &["Coffee on you at the next meetup ☕", "A good day for graphs 🙂"]),
    ],
    &[
        (
            A,
            &[
                "Small win today: I deleted four thousand lines.",
                "I removed a whole service today, and nobody noticed.",
            ],
        ),
        (B, &["The best kind of change!", "Congratulations!"]),
        (A, &["The review took longer than the change.", "And the tests are faster, too."]),
        (B, &["As it should be.", "I am a little envious."]),
    ],
    &[
        (A, &["What does your on-call look like?", "How do you share on-call in your team?"]),
        (
            B,
            &[
                "A week each, five of us, and the next day off after a night.",
                "By day only. At night the thing has to look after itself.",
            ],
        ),
        (A, &["Sounds humane. Ours is two people, which is two too few.", "I want that. How did you get there?"]),
        (
            B,
            &[
                "We wrote down what woke us, and fixed the first one each week.",
                "We deleted every alert that nobody acted on. Half were gone.",
            ],
        ),
        (A, &["I will try that. Worst case, I sleep.", "Simple enough to be true."]),
    ],
    &[
        (
            A,
            &[
                "I wrote a small post about {skill}. Would you read it before it goes out?",
                "May I send you a draft? It is about {skill}.",
            ],
        ),
        (B, &["Gladly. How long is it?", "Of course. Is it long?"]),
        (A, &["Eight minutes, says the counter.", "Not very, and there is no hurry."]),
        (
            B,
            &[
                "Read it. The example in the middle is great, the beginning could be shorter.",
                "Done! I left three comments. The ending is lovely.",
            ],
        ),
        (
            A,
            &[
                "That is exactly what I was unsure about. Thank you!",
                "You are quick! Thanks, I will cut the first paragraph.",
            ],
        ),
    ],
    &[
        (B, &["How is it going with the migration?", "Did the migration work out?"]),
        (
            A,
            &[
                "Half of the tables are over. We write to both and compare.",
                "We are at eighty per cent, and compare both sides every night.",
            ],
        ),
        (B, &["Any differences?", "Did you find differences?"]),
        (A, &["Two, both of them time zones.", "Two columns. Both are time zones."]),
        (B, &["It is always time zones.", "Time zones. Of course."]),
    ],
    &[
        (B, &["Do you have an opinion on monorepos?", "One repository or many?"]),
        (A, &["One, as long as the build knows what changed.", "One, and a build that is worth it."]),
        (B, &["That is the part that nobody budgets for.", "The tools decide, in the end."]),
        (A, &["We should write that down as a law.", "Put that on a T-shirt."]),
    ],
    &[
        (A, &["A colleague started last week, and her first question was better than our documentation."]),
        (B, &["What was it?", "Those are the best weeks. What did she ask?"]),
        (A, &["Why there are two of everything."]),
        (B, &["And why are there?", "And the answer?"]),
        (A, &["Nobody knows any more. One of them goes on Monday.", "History. One of them goes on Monday."]),
    ],
    &[
        (
            B,
            &[
                "I keep thinking about what you said on error messages.",
                "You were right about error messages, by the way.",
            ],
        ),
        (A, &["That they should say what to do next?", "Oh? What happened?"]),
        (
            B,
            &[
                "We changed ten of them, and support got half of the questions.",
                "I rewrote the worst one, and a customer thanked us. In writing.",
            ],
        ),
        (A, &["That makes my day!", "Wonderful. Tell everybody."]),
    ],
    &[
        (A, &["Is there anything around {town} where {skill} people meet?", "Do you go to meetups in {town}?"]),
        (
            B,
            &[
                "Every second Wednesday, in the back of a bookshop.",
                "A small one, once a month. Twelve people and too much pizza.",
            ],
        ),
        (A, &["Do you need speakers?", "I will be in town in spring. May I come?"]),
        (B, &["Always. Fifteen minutes, slides optional.", "Of course! Bring a lightning talk."]),
        (A, &["Then count me in.", "I might just do that."]),
    ],
];

/// How a conversation ends.
pub(super) const CLOSINGS: &[&[Line]] = &[
    &[
        (A, &["I have to run. Talk soon!", "Off to a meeting. Until next time!"]),
        (B, &["See you!", "Take care 👋", "Bye, {a}!"]),
    ],
    &[
        (B, &["Thanks, this was helpful.", "That was fun, thanks {a}."]),
        (A, &["Any time.", "Same here.", "Gladly, {b}."]),
    ],
    &[(A, &["Let me know how it goes.", "Keep me posted!"]), (B, &["Will do.", "I will 👍"])],
];

/// What comes later, while the other one is away; all of it by the one who says it.
pub(super) const LATER: &[&[&str]] = &[
    &["One more thing: do you still have the link about {skill}?"],
    &["Are you around tomorrow?", "It is nothing urgent."],
    &["I tried what you said, and it works!", "Half of the time, with half of the code."],
    &["Our team liked your idea.", "They want to know whether you would talk about it on a call."],
    &["Sent you the draft. Be honest 🙂"],
    &["Quick question about {skill} when you have a minute."],
    &["I found the bug.", "It was a missing await.", "Two days, one word."],
    &["The slides are online now. Yours is on page 12, with credit."],
];
