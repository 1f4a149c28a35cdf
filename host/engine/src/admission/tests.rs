use std::net::Ipv4Addr;

use super::*;

fn admission(options: AdmissionOptions) -> (Arc<Admission>, Arc<Refusals>) {
    let refusals = Arc::<Refusals>::default();
    (Arc::new(Admission::new(options, refusals.clone())), refusals)
}

fn member(name: &str) -> Caller {
    Caller::Member(name.into())
}

fn component() -> Arc<str> {
    "a".into()
}

/// Whether a future is done when it is polled once.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = std::future::ready(()) => None,
    }
}

fn options() -> AdmissionOptions {
    AdmissionOptions { running: 4, running_per_caller: 2, waiting_per_caller: 3, waiting: 10, ..Default::default() }
}

#[tokio::test]
async fn a_callers_calls_wait_behind_its_own_and_not_behind_others() {
    let (admission, refusals) = admission(options());
    let entered: Vec<Entered> = (0..5).map(|_| admission.enter(member("a"), false).unwrap()).collect();
    assert_eq!(admission.enter(member("a"), false).unwrap_err(), Refusal::CallCaller);
    let other = admission.enter(member("b"), false).unwrap();
    let component = component();
    let first = entered[0].turn(&component).await.unwrap();
    let _second = entered[1].turn(&component).await.unwrap();
    assert!(at_once(entered[2].turn(&component)).await.is_none(), "two of a caller run");
    let _other = at_once(other.turn(&component)).await.expect("another caller's turn is now");
    let third = entered[3].turn(&component);
    tokio::pin!(third);
    assert!(at_once(&mut third).await.is_none());
    drop(first);
    assert!(at_once(third).await.is_some());
    assert_eq!(refusals.of(Refusal::CallCaller), 1);
    assert_eq!(refusals.of(Refusal::CallUnwanted), 1, "the one that was polled once and dropped");
}

#[tokio::test]
async fn callers_take_turns() {
    let (admission, _) = admission(AdmissionOptions { running: 1, ..options() });
    let component = component();
    let holder = admission.enter(member("z"), false).unwrap();
    let turn = holder.turn(&component).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for name in ["a", "a", "a", "b", "c", "b"] {
        let entered = admission.enter(member(name), false).unwrap();
        let (order, component) = (order.clone(), component.clone());
        tasks.push(tokio::spawn(async move {
            let _turn = entered.turn(&component).await.unwrap();
            order.lock().unwrap().push(name);
        }));
        // It is in its queue before the next one comes.
        tokio::task::yield_now().await;
    }
    drop(turn);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["a", "b", "c", "a", "b", "a"]);
}

#[tokio::test]
async fn log_ins_have_a_part_of_their_own_and_no_more_than_half() {
    let (admission, _) = admission(AdmissionOptions { running: 20, waiting: 100, ..options() });
    let component = component();
    let enter = |urgent| admission.enter(Caller::Unlimited, urgent).unwrap();
    let usual: Vec<Entered> = (0..20).map(|_| enter(false)).collect();
    let mut turns = Vec::new();
    for (at, entered) in usual.iter().enumerate() {
        match at_once(entered.turn(&Arc::from(format!("c{at}")))).await {
            Some(turn) => turns.push(turn.unwrap()),
            None => break,
        }
    }
    assert_eq!(turns.len(), 19, "one of twenty is for log-ins");
    let log_in = enter(true);
    assert!(at_once(log_in.turn(&component)).await.is_some());
    turns.clear();
    let urgent: Vec<Entered> = (0..11).map(|_| enter(true)).collect();
    let mut count = 0;
    for entered in &urgent {
        if let Some(turn) = at_once(entered.turn(&component)).await {
            turns.push(turn.unwrap());
            count += 1;
        }
    }
    assert_eq!(count, 10);
}

#[tokio::test]
async fn a_component_does_not_take_the_whole_host() {
    let (admission, _) = admission(AdmissionOptions { running: 8, ..options() });
    let (greedy, modest) = (Arc::from("greedy"), Arc::from("modest"));
    let entered: Vec<Entered> = (0..8).map(|_| admission.enter(Caller::Unlimited, false).unwrap()).collect();
    let mut turns = Vec::new();
    for entered in &entered[..6] {
        turns.push(entered.turn(&greedy).await.unwrap());
    }
    let blocked = entered[6].turn(&greedy);
    tokio::pin!(blocked);
    assert!(at_once(&mut blocked).await.is_none(), "three quarters are the most");
    let _other = at_once(entered[7].turn(&modest)).await.expect("there is room for another component");
    turns.pop();
    assert!(at_once(blocked).await.is_some());
}

#[tokio::test]
async fn the_room_of_a_component_goes_past_a_caller_that_runs_all_that_it_may() {
    let (admission, _) = admission(AdmissionOptions { running: 12, ..options() });
    let (full, other): (Arc<str>, Arc<str>) = ("full".into(), "other".into());
    let holders: Vec<Entered> = (0..9).map(|_| admission.enter(Caller::Unlimited, false).unwrap()).collect();
    let mut turns = Vec::new();
    for holder in &holders {
        turns.push(holder.turn(&full).await.unwrap());
    }
    let of_a: Vec<Entered> = (0..3).map(|_| admission.enter(member("a"), false).unwrap()).collect();
    let of_b = admission.enter(member("b"), false).unwrap();
    let first = of_a[0].turn(&full);
    tokio::pin!(first);
    assert!(at_once(&mut first).await.is_none(), "the component has all that it may");
    let mut elsewhere = Vec::new();
    for entered in &of_a[1..] {
        elsewhere.push(at_once(entered.turn(&other)).await.expect("another component has room").unwrap());
    }
    let second = of_b.turn(&full);
    tokio::pin!(second);
    assert!(at_once(&mut second).await.is_none());
    turns.pop();
    assert!(at_once(&mut first).await.is_none(), "its caller runs two already");
    let _second = at_once(second).await.expect("the caller behind it runs");
    elsewhere.pop();
    turns.pop();
    assert!(at_once(first).await.is_some(), "its caller may run another one again");
}

#[tokio::test]
async fn the_room_of_a_component_goes_past_a_call_of_the_host_that_has_its_half() {
    let (admission, _) = admission(AdmissionOptions { running: 12, ..options() });
    let (full, other): (Arc<str>, Arc<str>) = ("full".into(), "other".into());
    let people: Vec<Entered> = (0..6).map(|_| admission.enter(Caller::Unlimited, false).unwrap()).collect();
    let of_host = |number| admission.enter(Caller::Component(format!("c{number}").into()), false).unwrap();
    let events: Vec<Entered> = (0..7).map(of_host).collect();
    let person = admission.enter(member("a"), false).unwrap();
    let mut turns = Vec::new();
    for entered in events[..3].iter().chain(&people) {
        turns.push(entered.turn(&full).await.unwrap());
    }
    let (event, waits) = (events[3].turn(&full), person.turn(&full));
    tokio::pin!(event, waits);
    assert!(at_once(&mut event).await.is_none() && at_once(&mut waits).await.is_none(), "the component is full");
    let mut elsewhere = Vec::new();
    for entered in &events[4..] {
        elsewhere.push(at_once(entered.turn(&other)).await.expect("the host has less than its half").unwrap());
    }
    turns.pop();
    let _turn = at_once(&mut waits).await.expect("the host's own call can't take the room");
    assert!(at_once(&mut event).await.is_none());
    elsewhere.pop();
    turns.pop();
    assert!(at_once(&mut event).await.is_some());
}

#[tokio::test]
async fn bodies_are_bounded_for_each_caller_and_together() {
    let (admission, _) = admission(AdmissionOptions { bytes: 10, bytes_per_caller: 6, ..options() });
    let address = |last| Caller::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
    let first = admission.enter(address(1), false).unwrap();
    first.charge(4).unwrap();
    let second = admission.enter(address(1), false).unwrap();
    assert_eq!(second.charge(3), Err(Refusal::BodyCaller));
    second.charge(2).unwrap();
    let third = admission.enter(address(2), false).unwrap();
    assert_eq!(third.charge(5), Err(Refusal::BodyFull));
    drop(first);
    third.charge(5).unwrap();
}

#[tokio::test]
async fn few_calls_of_a_caller_compute_for_long() {
    let (admission, _) = admission(AdmissionOptions { heavy_per_caller: 1, ..options() });
    let entered: Vec<Entered> = (0..3).map(|_| admission.enter(member("a"), false).unwrap()).collect();
    let first = entered[0].heavy_turn().await;
    assert!(at_once(entered[1].heavy_turn()).await.is_none());
    let third = entered[2].heavy_turn();
    tokio::pin!(third);
    assert!(at_once(&mut third).await.is_none());
    let other = admission.enter(member("b"), false).unwrap();
    assert!(at_once(other.heavy_turn()).await.is_some());
    drop(first);
    assert!(at_once(third).await.is_some(), "the one that does not wait any more is passed over");
}

#[tokio::test]
async fn a_callers_calls_are_expected_to_be_as_heavy_as_its_last_ones() {
    let (admission, _) = admission(options());
    let [a, b] = ["a", "b"].map(|name| admission.enter(member(name), false).unwrap());
    let (heavy, light) = (Arc::from("heavy"), Arc::from("light"));
    for _ in 0..3 {
        a.learn(&heavy, true, Duration::ZERO);
        a.learn(&light, false, Duration::ZERO);
        assert_eq!(a.begins(&heavy), Begins::OnSharedThreads);
    }
    a.learn(&heavy, true, Duration::ZERO);
    assert_eq!(a.begins(&heavy), Begins::Heavy);
    assert_eq!([a.begins(&light), b.begins(&heavy)], [Begins::OnSharedThreads; 2]);
    for _ in 0..100 {
        a.learn(&heavy, true, Duration::ZERO);
    }
    for _ in 0..5 {
        assert_eq!(a.begins(&heavy), Begins::Heavy);
        a.learn(&heavy, false, Duration::ZERO);
    }
    assert_eq!(a.begins(&heavy), Begins::OnSharedThreads, "a handful of light ones and it is light again");
}

#[tokio::test]
async fn a_caller_that_had_much_of_the_shared_threads_is_for_the_idle_pool_while_others_call() {
    let (admission, _) = admission(options());
    let (first, second) = (component(), Arc::from("another"));
    let greedy = admission.enter(member("a"), false).unwrap();
    greedy.learn(&first, false, Duration::from_secs(3_600));
    assert_eq!(greedy.begins(&first), Begins::OnSharedThreads, "nobody else is there");
    let modest = admission.enter(member("b"), false).unwrap();
    modest.learn(&first, false, Duration::from_micros(500));
    assert_eq!([greedy.begins(&first), greedy.begins(&second)], [Begins::InPool; 2], "whatever it calls");
    assert_eq!(modest.begins(&first), Begins::OnSharedThreads);
    drop(greedy);
    let again = admission.enter(member("a"), false).unwrap();
    assert_eq!(again.begins(&first), Begins::InPool, "also when it had no call for a moment");
}

#[tokio::test]
async fn nothing_is_kept_when_all_have_ended() {
    let (admission, refusals) = admission(AdmissionOptions { wait: Duration::from_millis(10), ..options() });
    let component = component();
    {
        let entered: Vec<Entered> = (0..5).map(|_| admission.enter(member("a"), false).unwrap()).collect();
        entered[0].charge(7).unwrap();
        let _first = entered[0].turn(&component).await.unwrap();
        let _second = entered[1].turn(&component).await.unwrap();
        assert_eq!(entered[2].turn(&component).await.unwrap_err(), Refusal::CallWait);
        let _heavy = entered[0].heavy_turn().await;
    }
    assert!(admission.desk().is_empty());
    assert_eq!(refusals.of(Refusal::CallWait), 1);
}

/// Events of many components at once, each of which stays below its own limit.
#[tokio::test]
async fn half_of_the_host_is_for_people_whatever_events_there_are() {
    let (admission, _) =
        admission(AdmissionOptions { running: 20, waiting: 100, waiting_per_caller: 100, ..options() });
    let own = |name: &str| admission.enter(Caller::Component(name.into()), false).unwrap();
    let events: Vec<Entered> = (0..30).map(|number| own(&format!("c{}", number % 10))).collect();
    let mut running = Vec::new();
    for (number, entered) in events.iter().enumerate() {
        if let Some(turn) = at_once(entered.turn(&Arc::from(format!("c{}", number % 10)))).await {
            running.push(turn.unwrap());
        }
    }
    assert_eq!(running.len(), 10);
    let people: Vec<Entered> =
        (0..9).map(|number| admission.enter(member(&format!("m{number}")), false).unwrap()).collect();
    let mut served = Vec::new();
    for entered in &people {
        served.push(at_once(entered.turn(&component())).await.expect("a person's turn is now").unwrap());
    }

    // Those that wait are not forgotten, and go on one after the other.
    let (x, y) = (own("x"), own("y"));
    let component = component();
    let (mut first, mut second) = (Box::pin(x.turn(&component)), Box::pin(y.turn(&component)));
    assert!(at_once(&mut first).await.is_none() && at_once(&mut second).await.is_none());
    served.clear();
    assert!(at_once(&mut first).await.is_none(), "what people leave is not for events");
    running.pop();
    assert!(at_once(&mut first).await.is_some_and(|turn| turn.is_ok()));
    assert!(at_once(&mut second).await.is_some_and(|turn| turn.is_ok()));
    running.clear();
    drop((first, second));
    drop((events, people, x, y));
    assert!(admission.desk().running_of_host() == 0);
}

#[tokio::test]
async fn a_call_that_ends_at_once_leaves_nothing_and_its_turn_is_the_next_ones() {
    let (admission, _) = admission(AdmissionOptions { running: 1, ..options() });
    let component = component();
    let first = admission.enter(member("a"), false).unwrap();
    first.charge(3).unwrap();
    let turn = first.turn_now(&component).unwrap();
    assert_eq!(turn.begins(), Begins::OnSharedThreads);
    let second = admission.enter(member("b"), false).unwrap();
    assert!(second.turn_now(&component).is_none(), "one runs");
    let mut waits = Box::pin(second.turn(&component));
    assert!(at_once(&mut waits).await.is_none());
    first.end(turn, true, Duration::ZERO);
    let turn = at_once(&mut waits).await.expect("its turn is now").unwrap();
    drop(waits);
    for _ in 0..3 {
        second.learn(&component, true, Duration::ZERO);
    }
    // The fourth.
    let third = admission.enter(member("b"), false).unwrap();
    second.end(turn, true, Duration::ZERO);
    assert_eq!(third.turn_now(&component).unwrap().begins(), Begins::Heavy);
    drop(third);
    assert!(admission.desk().is_empty());
}

/// Whoever gave up has no place among those that are ready, which another caller would get.
#[tokio::test]
async fn the_place_of_a_caller_that_is_gone_is_nobodys() {
    let (admission, _) = admission(AdmissionOptions { running: 1, ..options() });
    let component = component();
    let holder = admission.enter(member("z"), false).unwrap();
    let turn = holder.turn(&component).await.unwrap();
    {
        let gone = admission.enter(member("a"), true).unwrap();
        assert!(at_once(gone.turn(&component)).await.is_none(), "it gives up");
    }
    let (b, c) = (admission.enter(member("b"), false).unwrap(), admission.enter(member("c"), false).unwrap());
    let (mut first, mut second) = (Box::pin(b.turn(&component)), Box::pin(c.turn(&component)));
    assert!(at_once(&mut first).await.is_none() && at_once(&mut second).await.is_none());
    drop(turn);
    let turn = at_once(&mut first).await.expect("it came first").unwrap();
    assert!(at_once(&mut second).await.is_none(), "one runs");
    drop(turn);
    assert!(at_once(&mut second).await.is_some());
    drop((first, second));
    drop((b, c, holder));
    assert!(admission.desk().is_empty());
}
