// One conversation: its messages from the oldest that was asked for to those that are on their way, and where one
// writes.

import { Fragment } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { SafeUser } from '../api/types';
import type { Chat } from '../state/chat';
import type { Message } from '../state/conversation';
import { chat, connection, online } from '../state/hub';
import { during, me } from '../state/session';
import { t } from '../strings';
import { day, daysBetween, firstName, fullName, moment, time } from '../words';
import { Button, Failed, Skeleton } from './basics';
import { Icon } from './icons';
import { Avatar } from './people';

/** This far from the end one still reads the newest, in pixels. */
const NEAR = 80;
const LONGEST = 5_000;
/** What was begun to be written, by conversation. */
const drafts = new Map<string, string>();
during(
  () => undefined,
  () => drafts.clear(),
);

export function Conversation({ user }: { user: SafeUser }) {
  const now = chat.value;
  return now ? <Talk user={user} chat={now} /> : <Skeleton kind="message" />;
}

function Talk({ user, chat }: { user: SafeUser; chat: Chat }) {
  const id = user._id;
  const conversation = chat.with(id).value;
  const [failure, setFailure] = useState<unknown>();
  const [isOlder, setOlder] = useState(false);
  const [below, setBelow] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const wasNear = useRef(true);
  const before = useRef<{ height: number; first: string | undefined; last: string | undefined }>(undefined);

  const load = () => {
    setFailure(undefined);
    chat.load(id).catch(setFailure);
  };
  useEffect(load, [chat, id]);
  useLook(chat, id);

  const older = async () => {
    if (isOlder || !conversation.hasOlder) return;
    setOlder(true);
    try {
      await chat.loadOlder(id);
      setFailure(undefined);
    } catch (error) {
      setFailure(error);
    }
    setOlder(false);
  };
  const toEnd = () => {
    const { current } = scroller;
    if (current) current.scrollTop = current.scrollHeight;
    setBelow(0);
  };
  const first = key(conversation.messages[0]);
  const last = conversation.messages.at(-1);
  useLayoutEffect(() => {
    const { current } = scroller;
    if (!current) return;
    const known = before.current;
    const isMine = last?.fromUserId === me.peek()?._id && last?.progress !== 'sent';
    if (!known || wasNear.current || (isMine && known.last !== key(last))) {
      toEnd();
    } else if (known.first !== first && known.last === key(last)) {
      // What came in front pushes nothing away from under the eyes.
      current.scrollTop += current.scrollHeight - known.height;
    } else if (known.last !== key(last)) {
      setBelow((count) => count + 1);
    }
    before.current = { height: current.scrollHeight, first, last: key(last) };
  }, [conversation]);
  const scroll = () => {
    const { current } = scroller;
    if (!current) return;
    wasNear.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR;
    if (wasNear.current) setBelow(0);
    if (current.scrollTop < NEAR && failure === undefined) void older();
  };
  // A window that becomes smaller, as by a phone's keyboard, still shows the end.
  useEffect(() => {
    const { current } = scroller;
    if (!current) return undefined;
    const observer = new ResizeObserver(() => wasNear.current && toEnd());
    observer.observe(current);
    return () => observer.disconnect();
  }, []);

  const isTyping = chat.typing.value.has(id);
  const name = firstName(user);
  return (
    <>
      <header class="talk-head">
        <a class="icon-button back" href="/app/chat" aria-label={t.chat.toAll}>
          <Icon name="back" />
        </a>
        <Avatar user={user} />
        <div class="who">
          <h1 tabIndex={-1} class="name">
            {fullName(user)}
          </h1>
          <p class="note" role="status">
            {isTyping
              ? t.chat.isTyping(name)
              : connection.value === 'connected'
                ? online.value.has(id)
                  ? t.online
                  : t.offline
                : t.chat.noConnection}
          </p>
        </div>
      </header>
      <div class="messages" ref={scroller} onScroll={scroll} tabIndex={0} role="region" aria-label={t.chat.messages}>
        {failure !== undefined && (
          <Failed error={failure} again={() => (conversation.isLoaded ? void older() : load())} />
        )}
        {!conversation.isLoaded && failure === undefined && <Skeleton kind="message" />}
        {conversation.isLoaded && conversation.hasOlder && (
          <div class="more">
            <Button kind="quiet" isBusy={isOlder} onPress={() => void older()}>
              {isOlder ? t.loading : t.chat.older}
            </Button>
          </div>
        )}
        {conversation.isLoaded && !conversation.hasOlder && (
          <p class="beginning note">{conversation.messages.length === 0 ? t.chat.empty(name) : t.chat.beginning}</p>
        )}
        <Messages messages={conversation.messages} user={user} chat={chat} />
        {conversation.missed && conversation.isLoaded && connection.value === 'connected' && (
          <p class="note catching">{t.chat.catchingUp}</p>
        )}
      </div>
      {below > 0 && (
        <div class="below">
          <Button icon="down" onPress={toEnd}>
            {t.chat.below(below)}
          </Button>
        </div>
      )}
      <Composer user={user} chat={chat} />
    </>
  );
}

const key = (message: Message | undefined) => message && (message.clientId ?? message._id);

/** Messages are read while the member looks at them: the window is in front, and this conversation in it. */
function useLook(chat: Chat, id: string): void {
  useEffect(() => {
    const look = () => chat.look(document.visibilityState === 'visible' && document.hasFocus() ? id : undefined);
    look();
    const events: [EventTarget, string][] = [
      [document, 'visibilitychange'],
      [window, 'focus'],
      [window, 'blur'],
    ];
    for (const [target, event] of events) target.addEventListener(event, look);
    return () => {
      for (const [target, event] of events) target.removeEventListener(event, look);
      chat.look(undefined);
    };
  }, [chat, id]);
}

function Messages({ messages, user, chat }: { messages: readonly Message[]; user: SafeUser; chat: Chat }) {
  const now = Date.now();
  const mine = me.value?._id;
  // Marks stand at the last message that they hold for: those in front of it were read as well.
  const lastSent = messages.findLast((message) => message.fromUserId === mine && message.progress === 'sent');
  const lastRead = messages.findLast((message) => message.fromUserId === mine && message.readAt !== undefined);
  return (
    <ol>
      {messages.map((message, at) => {
        const previous = messages[at - 1];
        const isNewDay = previous === undefined || daysBetween(previous.ts, message.ts) !== 0;
        const follows = isFollowing(previous, message);
        // The last one of several has their time.
        const next = messages[at + 1];
        const isTimed =
          message.progress !== 'sent' || next === undefined || !isFollowing(message, next) || next.progress !== 'sent';
        const isMine = message.fromUserId === mine;
        return (
          <Fragment key={key(message)}>
            {isNewDay && (
              <li class="day">
                <span>{day(message.ts, now)}</span>
              </li>
            )}
            <li class={`message ${isMine ? 'mine' : 'theirs'} ${message.progress} ${follows ? 'follows' : ''}`}>
              <span class="hidden">{isMine ? t.chat.you : firstName(user)}: </span>
              <p class="bubble">{message.text}</p>
              <p class={isTimed ? 'meta' : 'hidden'}>
                <time dateTime={new Date(message.ts).toISOString()} title={moment(message.ts)}>
                  {time(message.ts)}
                </time>
                {isMine && <Mark message={message} isShown={message === lastSent || message === lastRead} />}
              </p>
              {message.progress === 'failed' && <Retry message={message} chat={chat} />}
            </li>
          </Fragment>
        );
      })}
    </ol>
  );
}

/** Messages of one member within a few minutes belong together. */
function isFollowing(previous: Message | undefined, message: Message): boolean {
  if (previous === undefined || previous.fromUserId !== message.fromUserId) return false;
  return message.ts - previous.ts < 300_000 && daysBetween(previous.ts, message.ts) === 0;
}

/** What became of an own message. */
function Mark({ message, isShown }: { message: Message; isShown: boolean }) {
  const state =
    message.progress !== 'sent'
      ? message.progress
      : message.readAt !== undefined
        ? 'read'
        : message.deliveredAt !== undefined
          ? 'delivered'
          : 'sent';
  if (state === 'failed') return null;
  const icon = state === 'waiting' || state === 'sending' ? 'waiting' : state === 'sent' ? 'check' : 'checks';
  return (
    <span class={`mark-of ${state}`}>
      <Icon name={icon} size={16} />
      <span class={isShown ? '' : 'hidden'}>{t.chat.marks[state]}</span>
    </span>
  );
}

function Retry({ message, chat }: { message: Message; chat: Chat }) {
  const { clientId = '', toUserId, problem: why } = message;
  return (
    <div class="retry" role="alert">
      <p>
        <Icon name="alert" size={16} />
        {t.chat.failed(why ?? '')}
      </p>
      <Button kind="plain" onPress={() => chat.again(toUserId, clientId)}>
        {t.tryAgain}
      </Button>
      <Button kind="quiet" onPress={() => chat.discard(toUserId, clientId)}>
        {t.chat.discard}
      </Button>
    </div>
  );
}

function Composer({ user, chat }: { user: SafeUser; chat: Chat }) {
  const id = user._id;
  const [text, setText] = useState(() => drafts.get(id) ?? '');
  const area = useRef<HTMLTextAreaElement>(null);
  const count = [...text.trim()].length;
  const change = (value: string) => {
    setText(value);
    if (value === '') drafts.delete(id);
    else drafts.set(id, value);
    if (value.trim() !== '') chat.type(id);
  };
  useLayoutEffect(() => {
    const { current } = area;
    if (!current) return;
    // As high as its text, up to a limit of the style.
    current.style.height = 'auto';
    current.style.height = `${current.scrollHeight + 2}px`;
  }, [text]);
  const send = (event?: Event) => {
    event?.preventDefault();
    if (count === 0 || count > LONGEST) return;
    chat.send(id, text.trim());
    change('');
    area.current?.focus();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
  };
  // With a keyboard one wants to write at once; on a phone its keyboard would cover the messages.
  const isFine = matchMedia('(pointer: fine)').matches;
  return (
    <form class="composer" onSubmit={send}>
      <textarea
        ref={area}
        rows={1}
        value={text}
        aria-label={t.chat.messageTo(firstName(user))}
        placeholder={t.chat.placeholder}
        aria-describedby="composer-hint"
        enterkeyhint="send"
        data-first-focus={isFine || undefined}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={press}
      />
      <button
        type="submit"
        class="send"
        aria-label={t.chat.send}
        aria-disabled={count === 0 || count > LONGEST || undefined}
      >
        <Icon name="send" />
      </button>
      <p
        id="composer-hint"
        class={count > LONGEST - 200 ? (count > LONGEST ? 'error' : 'hint') : 'hidden'}
        role={count > LONGEST ? 'alert' : undefined}
      >
        {count > LONGEST - 200 ? t.chat.length(count, LONGEST) : t.chat.hint}
      </p>
    </form>
  );
}
