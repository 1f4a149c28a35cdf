// Which mails the member wants, where the member is logged in, and the account itself.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import * as routes from '../api/routes';
import type { EmailPreferences, Session } from '../api/types';
import { download, gather } from '../download';
import { Button, Dialog, Failed, Field, Notice, Skeleton, Switch } from '../parts/basics';
import { useForm, type Errors } from '../parts/form';
import { Page } from '../parts/shell';
import { navigate, place } from '../router';
import * as rules from '../rules';
import { during, leave } from '../state/session';
import { Resource } from '../state/resource';
import { choose, chosen, preferences } from '../state/stores';
import { announce, toast } from '../state/toasts';
import { t } from '../strings';
import { ago, moment, problem } from '../words';

const TABS = [
  { href: '/app/settings', text: t.settings.mail },
  { href: '/app/settings/sessions', text: t.settings.sessions },
  { href: '/app/settings/account', text: t.settings.account },
];

function Settings({ title, children }: { title: string; children: ComponentChildren }) {
  const { path } = place.value;
  return (
    <Page
      title={title}
      class="narrow"
      actions={
        <nav class="segments" aria-label={t.settings.nav}>
          {TABS.map(({ href, text }) => (
            <a key={href} href={href} aria-current={href === path ? 'page' : undefined}>
              {text}
            </a>
          ))}
        </nav>
      }
    >
      {children}
    </Page>
  );
}

const KINDS = Object.keys(t.mail.kinds) as (keyof EmailPreferences)[];

export function MailPage() {
  useEffect(() => void preferences.need(), []);
  const { error, isLoading, value } = preferences.state.value;
  const shown = chosen.value;
  const pick = (kind: keyof EmailPreferences, isWanted: boolean) =>
    void choose(kind, isWanted).catch((error) => toast(`${t.mail.notSaved} ${problem(error)}`, { isError: true }));
  return (
    <Settings title={t.mail.title}>
      {error !== undefined && <Failed error={error} again={() => void preferences.load()} />}
      {value === undefined && isLoading && <Skeleton kind="row" />}
      {shown && (
        <div class="card switches">
          {KINDS.map((kind) => (
            <Switch
              key={kind}
              label={t.mail.kinds[kind].label}
              hint={t.mail.kinds[kind].hint}
              isOn={shown[kind]}
              onChange={(isOn) => pick(kind, isOn)}
            />
          ))}
        </div>
      )}
    </Settings>
  );
}

const sessions = new Resource<Session[]>(async () => (await routes.sessions()).data);
during(
  () => undefined,
  () => sessions.reset(),
);

export function SessionsPage() {
  useEffect(() => void sessions.load(), []);
  const [busy, setBusy] = useState<string>();
  const { value, error, isLoading } = sessions.state.value;
  const end = async (id: string) => {
    setBusy(id);
    try {
      if (id === 'others') await routes.endOtherSessions();
      else await routes.endSession(id);
      sessions.update((all) => all.filter((session) => (id === 'others' ? session.current : session.id !== id)));
      document.querySelector('h1')?.focus();
      announce(t.sessions.ended);
    } catch (error) {
      toast(problem(error), { isError: true });
    }
    setBusy(undefined);
  };
  const now = Date.now();
  return (
    <Settings title={t.sessions.title}>
      <p class="note">{t.sessions.note}</p>
      {error !== undefined && <Failed error={error} again={() => void sessions.load()} />}
      {value === undefined && isLoading && <Skeleton kind="row" />}
      <ul class="rows">
        {value?.map((session) => (
          <li key={session.id}>
            <div class="person">
              <div class="who">
                <p class="name">
                  {session.current ? t.sessions.here : t.sessions.since(moment(Date.parse(session.createdAt)))}
                </p>
                <p class="note">
                  {t.sessions.began(ago(Date.parse(session.createdAt), now))} ·{' '}
                  {t.sessions.until(moment(Date.parse(session.expiresAt)))}
                </p>
              </div>
              {!session.current && (
                <div class="acts">
                  <Button
                    isBusy={busy !== undefined}
                    label={t.sessions.endOf(moment(Date.parse(session.createdAt)))}
                    onPress={() => void end(session.id)}
                  >
                    {t.sessions.end}
                  </Button>
                </div>
              )}
            </div>
          </li>
        ))}
      </ul>
      {(value?.filter((session) => !session.current).length ?? 0) > 1 && (
        <div class="row">
          <Button kind="plain" isBusy={busy !== undefined} onPress={() => void end('others')}>
            {t.sessions.endOthers}
          </Button>
        </div>
      )}
    </Settings>
  );
}

export function AccountPage() {
  return (
    <Settings title={t.account.title}>
      <ChangePassword />
      <Export />
      <Delete />
    </Settings>
  );
}

const NOTHING = { currentPassword: '', newPassword: '' };

function ChangePassword() {
  const [isDone, setDone] = useState(false);
  const { form, submit, field, isBusy, failure, reset } = useForm({
    initial: NOTHING,
    check: ({ currentPassword, newPassword }) => {
      const all = { currentPassword: rules.required(currentPassword), newPassword: rules.password(newPassword) };
      return Object.fromEntries(Object.entries(all).filter(([, error]) => error)) as Errors<keyof typeof NOTHING>;
    },
    send: async ({ currentPassword, newPassword }) => {
      setDone(false);
      await routes.changePassword(currentPassword, newPassword);
      reset(NOTHING);
      setDone(true);
      sessions.reset();
    },
  });
  return (
    <section class="card">
      <h2>{t.account.password}</h2>
      <p class="note">{t.account.passwordNote}</p>
      <form ref={form} onSubmit={submit} noValidate>
        <Field
          {...field('currentPassword')}
          label={t.fields.currentPassword}
          type="password"
          autoComplete="current-password"
        />
        <Field
          {...field('newPassword')}
          label={t.fields.newPassword}
          type="password"
          autoComplete="new-password"
          hint={t.rules.passwordHint}
        />
        {failure && <Notice kind="error">{failure}</Notice>}
        {isDone && <Notice kind="good">{t.account.passwordChanged}</Notice>}
        <div class="row">
          <Button type="submit" kind="primary" isBusy={isBusy}>
            {isBusy ? t.saving : t.account.changePassword}
          </Button>
        </div>
      </form>
    </section>
  );
}

function Export() {
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      const all = await gather((cursor) => routes.exportAccount(cursor));
      download('devconnect-account.json', new Blob([JSON.stringify(all, undefined, 2)], { type: 'application/json' }));
      toast(t.account.exported);
    } catch (error) {
      toast(`${t.account.notExported} ${problem(error)}`, { isError: true });
    }
    setBusy(false);
  };
  return (
    <section class="card">
      <h2>{t.account.export}</h2>
      <p class="note">{t.account.exportNote}</p>
      <div class="row">
        <Button isBusy={isBusy} onPress={() => void run()}>
          {isBusy ? t.account.exporting : t.account.exportAct}
        </Button>
      </div>
    </section>
  );
}

function Delete() {
  const [isOpen, setOpen] = useState(false);
  const { form, submit, field, isBusy, failure, reset } = useForm({
    initial: { password: '' },
    check: ({ password }): Errors<'password'> => {
      const error = rules.required(password);
      return error ? { password: error } : {};
    },
    send: async ({ password }) => {
      await routes.deleteAccount(password);
      leave();
      navigate('/', { replace: true });
      toast(t.account.deleted);
    },
  });
  const close = () => {
    setOpen(false);
    reset({ password: '' });
  };
  return (
    <section class="card danger-card">
      <h2>{t.account.delete}</h2>
      <p class="note">{t.account.deleteNote}</p>
      <div class="row">
        <Button kind="danger" onPress={() => setOpen(true)}>
          {t.account.deleteAct}
        </Button>
      </div>
      {isOpen && (
        <Dialog title={t.account.deleteAsk} onClose={close}>
          <p>{t.account.deleteWarning}</p>
          <form ref={form} onSubmit={submit} noValidate>
            <Field {...field('password')} label={t.fields.password} type="password" autoComplete="current-password" />
            {failure && <Notice kind="error">{failure}</Notice>}
            <div class="row">
              <Button type="submit" kind="danger" isBusy={isBusy}>
                {isBusy ? t.account.deleting : t.account.deleteForGood}
              </Button>
              <Button kind="quiet" onPress={close}>
                {t.cancel}
              </Button>
            </div>
          </form>
        </Dialog>
      )}
    </section>
  );
}
