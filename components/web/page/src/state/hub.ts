// What runs while a member is logged in: the connection, the chat, and what keeps the stores up to date. One at a time.

import { computed, effect, signal } from '@preact/signals';
import { ApiError } from '../api/client';
import * as routes from '../api/routes';
import { randomId } from '../random';
import { place } from '../router';
import { t } from '../strings';
import { fullName } from '../words';
import { Chat } from './chat';
import { unread } from './conversation';
import { Live } from './live';
import { during, lost } from './session';
import { tab } from './storage';
import * as stores from './stores';
import { announce, toast } from './toasts';

interface Running {
  me: string;
  chat: Chat;
  live: Live;
  stop: () => void;
}

const running = signal<Running | undefined>(undefined);
export const chat = computed(() => running.value?.chat);
export const connection = computed(() => running.value?.live.state.value ?? 'connecting');
export const online = computed(() => running.value?.live.online.value ?? new Set<string>());

/** Conversations whose newest messages are looked at without being opened, so that one sees who has written. */
const PREVIEWS = 20;
const AT_ONCE = 3;

/** How many messages wait to be read, in all conversations that are known. */
export const unreadMessages = computed(() => {
  const now = running.value;
  if (!now) return 0;
  void now.chat.version.value;
  return (stores.connections.value ?? []).reduce((sum, { _id }) => sum + unread(now.chat.with(_id).peek(), now.me), 0);
});

function start(me: string): Running {
  const live: Live = new Live(me, {
    connected() {
      chat.recover();
      // Whatever happened meanwhile.
      void stores.notices.load();
      void stores.connections.load();
      stores.received.first.refresh();
      stores.sent.first.refresh();
    },
    lost: () => chat.lost(),
    message: (message) => chat.arrived(message),
    stamped: (what, { _id, at }) => chat.wasStamped(_id, what, at),
    typing: (id) => chat.isTyping(id, true),
    notification(notification) {
      if (!stores.noticeCame(notification)) return;
      if (notification.type === 'CONNECTION_REQUEST') stores.received.first.refresh();
      if (notification.type === 'CONNECTION_ACCEPTED') void stores.connections.load();
      if (notification.type?.startsWith('CONNECTION')) stores.sent.first.refresh();
      const [text, href] = [notification.message || t.notifications.unknown, '/app/notifications'];
      if (place.peek().path === href) announce(text);
      else if (!notification.readAt) toast(text, { href });
    },
    async hasSession() {
      try {
        await routes.profile({ anonymous: true });
        return true;
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 401) throw error;
        lost();
        return false;
      }
    },
  });
  const chat = new Chat({
    me,
    wire: live,
    history: routes.history,
    shelf: tab,
    now: () => Date.now(),
    clientId: randomId,
    noAnswer: t.chat.noAnswer,
    later: (call, milliseconds) => void setTimeout(call, milliseconds),
  });
  chat.onMessage = ({ fromUserId, text }) => {
    const name = fullName(stores.connected.peek().get(fromUserId));
    const href = `/app/chat/${fromUserId}`;
    if (place.peek().path === href) announce(t.chat.says(name, text));
    else toast(t.chat.says(name, text.length > 80 ? `${text.slice(0, 80)}…` : text), { href });
    if (!stores.connected.peek().has(fromUserId)) void stores.connections.load();
  };
  // Who is there, and who has written, of everybody that one is connected with.
  const unwatch = effect(() => {
    const ids = (stores.connections.value ?? []).map((user) => user._id);
    live.watch(ids);
    void preview(chat, ids.slice(0, PREVIEWS));
  });
  live.open();
  void stores.connections.need();
  void stores.received.first.need();
  return {
    me,
    chat,
    live,
    stop() {
      unwatch();
      live.close();
    },
  };
}

/** The newest messages of these conversations, a few at a time. */
async function preview(chat: Chat, ids: readonly string[]): Promise<void> {
  const open = ids.filter((id) => !chat.with(id).peek().isLoaded);
  const one = async () => {
    // What can't be loaded now is loaded when it is opened.
    for (let id = open.shift(); id !== undefined; id = open.shift()) await chat.load(id).catch(() => undefined);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

during(
  ({ _id }) => {
    running.value = start(_id);
  },
  () => {
    running.peek()?.stop();
    running.value = undefined;
    stores.forget();
  },
);
