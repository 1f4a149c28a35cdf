// Which page an address has, and who may see it.

import { useEffect } from 'preact/hooks';
import { Toasts } from './parts/toasts';
import { Shell } from './parts/shell';
import { Button, Notice } from './parts/basics';
import { Mark } from './parts/icons';
import { AccountPage, MailPage, SessionsPage } from './pages/settings';
import { ChatPage } from './pages/chat';
import { ConnectionsPage } from './pages/connections';
import { FeedPage } from './pages/feed';
import { Landing } from './pages/landing';
import { LogInPage, SignUpPage } from './pages/enter';
import { MembershipPage, PAYMENT } from './pages/membership';
import { MissingPage } from './pages/missing';
import { NotificationsPage } from './pages/notifications';
import { ProfilePage } from './pages/profile';
import { RequestsPage } from './pages/requests';
import { YouPage } from './pages/you';
import { navigate, ownPath, place } from './router';
import { boot, phase, toLogIn } from './state/session';
import { tab } from './state/storage';
import { t } from './strings';

export function App() {
  return (
    <>
      <Content />
      <Toasts />
    </>
  );
}

function Content() {
  const { path, query } = place.value;
  const isIn = phase.value === 'in';
  const isEntrance = path === '/' || path === '/app/login' || path === '/app/signup';
  switch (phase.value) {
    case 'unknown':
      return (
        <main class="waiting" aria-busy="true">
          <Mark size={48} />
          <p class="hidden" role="status">
            {t.loading}
          </p>
        </main>
      );
    case 'unreachable':
      return (
        <main class="waiting">
          <Mark size={48} />
          <Notice kind="error" action={<Button onPress={() => void boot()}>{t.tryAgain}</Button>}>
            {t.problems.offline}
          </Notice>
        </main>
      );
    default:
  }
  if (isIn && (isEntrance || path === '/app')) return <Redirect to={ownPath(query.get('next')) ?? home()} />;
  if (!isIn) {
    if (path === '/') return <Landing />;
    if (path === '/app/login') return <LogInPage />;
    if (path === '/app/signup') return <SignUpPage />;
    return <ToLogIn />;
  }
  return <Shell>{inside(path)}</Shell>;
}

function inside(path: string) {
  const [, , page, rest, ...more] = path.split('/');
  const isKnown = more.length === 0;
  if (isKnown && page === 'chat') return <ChatPage id={rest} />;
  switch (path) {
    case '/app/feed':
      return <FeedPage />;
    case '/app/requests':
      return <RequestsPage kind="received" key="received" />;
    case '/app/requests/sent':
      return <RequestsPage kind="sent" key="sent" />;
    case '/app/connections':
      return <ConnectionsPage />;
    case '/app/notifications':
      return <NotificationsPage />;
    case '/app/profile':
      return <ProfilePage />;
    case '/app/membership':
      return <MembershipPage />;
    case '/app/you':
      return <YouPage />;
    case '/app/settings':
      return <MailPage />;
    case '/app/settings/sessions':
      return <SessionsPage />;
    case '/app/settings/account':
      return <AccountPage />;
    default:
      return <MissingPage />;
  }
}

/** Where a member begins. The payment provider sends whoever has paid to the host's address. */
const home = () => (tab.get(PAYMENT) ? '/app/membership' : '/app/feed');

function Redirect({ to }: { to: string }) {
  useEffect(() => navigate(to, { replace: true }), [to]);
  return null;
}

function ToLogIn() {
  useEffect(() => toLogIn(), []);
  return null;
}
