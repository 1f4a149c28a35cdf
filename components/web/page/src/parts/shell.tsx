// What is around each page of a member: the way to the others, the state of the connection, and where the focus goes
// when the page changes.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { place } from '../router';
import { connection, unreadMessages } from '../state/hub';
import { me } from '../state/session';
import { received, unreadNotices } from '../state/stores';
import { t } from '../strings';
import { fullName } from '../words';
import { Badge } from './basics';
import { Icon, Mark, type IconName } from './icons';
import { Avatar } from './people';
import { LogOut } from './log_out';

interface Entry {
  href: string;
  icon: IconName;
  text: string;
  /** In the bar of a phone as well. */
  isMain?: boolean;
  /** In the bar of a phone only. */
  isSmall?: boolean;
  badge?: () => number;
  badgeText?: (count: number) => string;
}

const ENTRIES: Entry[] = [
  { href: '/app/feed', icon: 'discover', text: t.feed.nav, isMain: true },
  {
    href: '/app/requests',
    icon: 'requests',
    text: t.requests.nav,
    isMain: true,
    badge: () => received.rows.value?.length ?? 0,
    badgeText: t.requests.waiting,
  },
  {
    href: '/app/chat',
    icon: 'chat',
    text: t.chat.nav,
    isMain: true,
    badge: () => unreadMessages.value,
    badgeText: t.chat.unread,
  },
  {
    href: '/app/notifications',
    icon: 'bell',
    text: t.notifications.nav,
    isMain: true,
    badge: () => unreadNotices.value,
    badgeText: t.notifications.unread,
  },
  { href: '/app/connections', icon: 'people', text: t.connections.nav },
  { href: '/app/membership', icon: 'star', text: t.membership.nav },
  { href: '/app/settings', icon: 'settings', text: t.settings.nav },
  { href: '/app/you', icon: 'you', text: t.you.nav, isMain: true, isSmall: true },
];
/** What a phone reaches by the page `you`. */
const OF_YOU = ['/app/connections', '/app/membership', '/app/settings', '/app/profile'];

export function Shell({ children }: { children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const { path, visit } = place.value;
  const first = useRef(visit);
  useEffect(() => {
    // A new page begins at its heading, for eyes, keyboards and screen readers. The first one begins as all pages do.
    if (visit === first.current) return;
    const { current } = main;
    (current?.querySelector<HTMLElement>('[data-first-focus]') ?? current?.querySelector('h1') ?? current)?.focus({
      preventScroll: true,
    });
  }, [visit]);
  const skip = (event: MouseEvent) => {
    event.preventDefault();
    main.current?.focus();
    main.current?.scrollIntoView();
  };
  return (
    <div class={`shell ${path.startsWith('/app/chat') ? 'tall' : ''} ${/^\/app\/chat\/./.test(path) ? 'no-bar' : ''}`}>
      <a class="skip" href="#main" onClick={skip}>
        {t.skip}
      </a>
      <header class="side">
        <a class="brand" href="/app/feed">
          <Mark size={30} />
          <span>{t.product}</span>
        </a>
        <nav aria-label={t.mainNavigation}>
          <ul>
            {ENTRIES.map((entry) => (
              <NavEntry entry={entry} path={path} key={entry.href} />
            ))}
          </ul>
        </nav>
        <div class="own">
          <a href="/app/profile" aria-current={path === '/app/profile' ? 'page' : undefined}>
            <Avatar user={me.value} size="small" />
            <span>
              <b>{fullName(me.value)}</b>
              <span class="note">{t.profile.nav}</span>
            </span>
          </a>
          <LogOut />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Connection />
        {children}
      </main>
    </div>
  );
}

function NavEntry({ entry, path }: { entry: Entry; path: string }) {
  const { href, icon, text, isMain, isSmall, badge, badgeText } = entry;
  const isHere = path === href || path.startsWith(`${href}/`) || (isSmall && OF_YOU.some((of) => path.startsWith(of)));
  const count = badge?.() ?? 0;
  return (
    <li class={`${isMain ? '' : 'wide-only'} ${isSmall ? 'small-only' : ''}`}>
      <a href={href} aria-current={isHere ? (path === href ? 'page' : 'true') : undefined}>
        <span class="with-badge">
          <Icon name={icon} />
          {badgeText && <Badge count={count} label={badgeText(count)} />}
        </span>
        <span>{text}</span>
      </a>
    </li>
  );
}

/** Says when the connection is lost; a moment's loss is nobody's business. */
function Connection() {
  const isLost = connection.value === 'lost';
  return <div role="status">{isLost && <p class="connection">{t.connectionLost}</p>}</div>;
}

/** A page of a member: its heading, and the window's title. */
export function Page({
  title,
  children,
  actions,
  note,
  class: name = '',
}: {
  title: string;
  children: ComponentChildren;
  actions?: ComponentChildren;
  note?: ComponentChildren;
  class?: string;
}) {
  useTitle(title);
  return (
    <div class={`page ${name}`}>
      <div class="page-head">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {note && <p class="note">{note}</p>}
        </div>
        {actions}
      </div>
      {children}
    </div>
  );
}

export function useTitle(title: string): void {
  const count = unreadMessages.value + unreadNotices.value;
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ''}${title} · ${t.product}`;
  }, [title, count]);
}
