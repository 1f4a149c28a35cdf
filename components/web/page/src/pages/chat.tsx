// The chat: who there is to talk to, and one conversation.

import { useEffect, useState } from 'preact/hooks';
import type { SafeUser } from '../api/types';
import { Badge, Button, Empty, Failed, Skeleton } from '../parts/basics';
import { Conversation } from '../parts/conversation';
import { Avatar } from '../parts/people';
import { useTitle } from '../parts/shell';
import { newest, unread } from '../state/conversation';
import { chat } from '../state/hub';
import { me } from '../state/session';
import { connections } from '../state/stores';
import { t } from '../strings';
import { brief, fullName } from '../words';

/** Rows that are shown before one asks for more: each is looked at for its last message. */
const ROWS = 30;

export function ChatPage({ id }: { id: string | undefined }) {
  useEffect(() => void connections.need(), []);
  const { value, error, isLoading } = connections.state.value;
  const user = value?.find((known) => known._id === id);
  const Heading = id ? 'h2' : 'h1';
  useTitle(id ? fullName(user) : t.chat.title);
  return (
    <div class={`chat ${id ? 'open' : ''}`}>
      <section class="chats" aria-label={t.chat.title}>
        <Heading tabIndex={-1}>{t.chat.title}</Heading>
        {error !== undefined && <Failed error={error} again={() => void connections.load()} />}
        {value === undefined && isLoading && <Skeleton kind="row" />}
        {value?.length === 0 && (
          <Empty
            icon="chat"
            title={t.chat.nobody}
            action={
              <a class="button primary" href="/app/feed">
                {t.requests.discover}
              </a>
            }
          >
            {t.chat.nobodyText}
          </Empty>
        )}
        {value !== undefined && value.length > 0 && <List users={value} open={id} />}
      </section>
      <section class="talk" aria-label={id ? t.chat.with(fullName(user)) : t.chat.noneOpen}>
        {id === undefined ? (
          <p class="pick">{value?.length === 0 ? '' : t.chat.pick}</p>
        ) : user ? (
          <Conversation user={user} key={id} />
        ) : value === undefined ? (
          <Skeleton kind="message" />
        ) : (
          <Empty
            icon="chat"
            title={t.chat.stranger}
            action={
              <a class="button primary" href="/app/chat">
                {t.chat.toAll}
              </a>
            }
          >
            {t.chat.strangerText}
          </Empty>
        )}
      </section>
    </div>
  );
}

function List({ users, open }: { users: SafeUser[]; open: string | undefined }) {
  const [count, setCount] = useState(ROWS);
  const now = chat.value;
  void now?.version.value;
  const at = (user: SafeUser) => (now && newest(now.with(user._id).peek())?.ts) ?? 0;
  // Whoever has written last comes first; the others as the host has them, the latest connection first.
  const sorted = [...users].sort((a, b) => at(b) - at(a));
  const shown = sorted.slice(0, count);
  return (
    <>
      <ul class="rows">
        {shown.map((user) => (
          <li key={user._id}>
            <Row user={user} isOpen={user._id === open} />
          </li>
        ))}
      </ul>
      {sorted.length > count && (
        <div class="more">
          <Button onPress={() => setCount(count + ROWS)}>{t.more}</Button>
        </div>
      )}
    </>
  );
}

function Row({ user, isOpen }: { user: SafeUser; isOpen: boolean }) {
  const now = chat.value;
  useEffect(() => void now?.load(user._id).catch(() => undefined), [now, user._id]);
  const mine = me.value?._id ?? '';
  const conversation = now?.with(user._id).value;
  const last = conversation?.messages.at(-1);
  const count = conversation ? unread(conversation, mine) : 0;
  const isTyping = now?.typing.value.has(user._id);
  return (
    <a href={`/app/chat/${user._id}`} aria-current={isOpen ? 'page' : undefined} class={count > 0 ? 'new' : ''}>
      <Avatar user={user} presence />
      <span class="who">
        <span class="name">{fullName(user)}</span>
        <span class="note last">
          {isTyping ? (
            <em>{t.chat.typing}</em>
          ) : last ? (
            `${last.fromUserId === mine ? `${t.chat.you}: ` : ''}${last.text}`
          ) : conversation?.isLoaded ? (
            t.chat.nothingYet
          ) : (
            ' '
          )}
        </span>
      </span>
      <span class="side-note">
        {last && (
          <time class="note" dateTime={new Date(last.ts).toISOString()}>
            {brief(last.ts, Date.now())}
          </time>
        )}
        <Badge count={count} label={t.chat.unread(count)} />
      </span>
    </a>
  );
}
