// Requests that wait for the member, and those that the member has sent.

import { useEffect, useState } from 'preact/hooks';
import type { ReceivedRequest } from '../api/types';
import { Button, Empty, Failed, Skeleton } from '../parts/basics';
import { PersonRow } from '../parts/people';
import { Page } from '../parts/shell';
import { received, respond, sent } from '../state/stores';
import { toast } from '../state/toasts';
import { t } from '../strings';
import { ago, firstName, problem } from '../words';

const KINDS = [
  { kind: 'received', href: '/app/requests', text: t.requests.received },
  { kind: 'sent', href: '/app/requests/sent', text: t.requests.sent },
] as const;

export function RequestsPage({ kind }: { kind: 'received' | 'sent' }) {
  const pages = kind === 'received' ? received : sent;
  useEffect(() => void pages.first.need(), []);
  const { error, isLoading, value } = pages.first.state.value;
  const rows = pages.rows.value;
  const words = t.requests[kind === 'received' ? 'noneReceived' : 'noneSent'];
  const now = Date.now();
  return (
    <Page
      title={t.requests.title}
      class="narrow"
      actions={
        <nav class="segments" aria-label={t.requests.title}>
          {KINDS.map((tab) => (
            <a key={tab.kind} href={tab.href} aria-current={tab.kind === kind ? 'page' : undefined}>
              {tab.text}
            </a>
          ))}
        </nav>
      }
    >
      {error !== undefined && <Failed error={error} again={() => void pages.first.load()} />}
      {rows === undefined && isLoading && <Skeleton kind="row" />}
      {rows?.length === 0 && !value?.hasMore && (
        <Empty
          icon="requests"
          title={words.title}
          action={
            <a class="button primary" href="/app/feed">
              {t.requests.discover}
            </a>
          }
        >
          {words.text}
        </Empty>
      )}
      <ul class="rows">
        {kind === 'received'
          ? received.rows.value?.map((request) => (
              <li key={request._id}>
                <Received request={request} now={now} />
              </li>
            ))
          : sent.rows.value?.map(({ _id, toUserId, createdAt }) => (
              <li key={_id}>
                <PersonRow user={toUserId} note={since(createdAt, now)}>
                  <span class="note">{t.requests.pending}</span>
                </PersonRow>
              </li>
            ))}
      </ul>
      {value?.hasMore && (
        <div class="more">
          <Button
            isBusy={pages.isLoadingMore.value}
            onPress={() => void pages.more().catch((error) => toast(problem(error), { isError: true }))}
          >
            {t.more}
          </Button>
        </div>
      )}
    </Page>
  );
}

const since = (date: string | null | undefined, now: number) => (date ? ago(Date.parse(date), now) : undefined);

function Received({ request, now }: { request: ReceivedRequest; now: number }) {
  const [busy, setBusy] = useState(false);
  const name = firstName(request.fromUserId);
  const answer = async (action: 'accept' | 'reject', event: MouseEvent) => {
    const item = (event.currentTarget as Element).closest('li');
    const beside = item?.nextElementSibling ?? item?.previousElementSibling;
    const target =
      beside?.querySelector<HTMLElement>('button') ?? item?.closest('.page')?.querySelector<HTMLElement>('h1');
    setBusy(true);
    const done = respond(request._id, action);
    target?.focus();
    try {
      await done;
      if (action === 'accept') toast(t.requests.accepted(name), { href: `/app/chat/${request.fromUserId._id}` });
      else toast(t.requests.declined(name));
    } catch (error) {
      toast(`${t.requests.notAnswered(name)} ${problem(error)}`, { isError: true });
      setBusy(false);
    }
  };
  return (
    <PersonRow user={request.fromUserId} note={since(request.createdAt, now)}>
      <Button
        kind="primary"
        isBusy={busy}
        label={t.requests.acceptOf(name)}
        onPress={(event) => void answer('accept', event)}
      >
        {t.requests.accept}
      </Button>
      <Button
        kind="plain"
        isBusy={busy}
        label={t.requests.declineOf(name)}
        onPress={(event) => void answer('reject', event)}
      >
        {t.requests.decline}
      </Button>
    </PersonRow>
  );
}
