// Other members, those who fit best first, with the reasons.

import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../api/client';
import type { FeedUser } from '../api/types';
import { Button, Empty, Failed, Notice, Skeleton } from '../parts/basics';
import { PersonCard } from '../parts/people';
import { Page } from '../parts/shell';
import { during, me } from '../state/session';
import { cards, feed, isLoadingCards, isRanked, judge, moreCards } from '../state/stores';
import { announce, toast } from '../state/toasts';
import { t } from '../strings';
import { firstName, problem, tierOf, wait } from '../words';

/** The day's limit is reached: in words. */
const limited = signal<string | undefined>(undefined);
during(
  () => undefined,
  () => {
    limited.value = undefined;
  },
);

export function FeedPage() {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => void feed.need(), []);
  const { error, isLoading, value } = feed.state.value;
  const shown = cards.value;
  useEffect(() => {
    // The page fills itself up again while one goes through it.
    if (shown !== undefined && shown.length < 4 && value?.hasMore) void moreCards().catch(() => undefined);
  }, [shown?.length, value?.hasMore]);
  const pick = (ranked: boolean) => {
    if (isRanked.peek() === ranked) return;
    isRanked.value = ranked;
    feed.reset();
    void feed.load();
  };
  return (
    <Page
      title={t.feed.title}
      note={value && t.feed.available(value.total)}
      actions={
        <div class="segments" role="group" aria-label={t.feed.order}>
          <button type="button" aria-pressed={isRanked.value} onClick={() => pick(true)}>
            {t.feed.ranked}
          </button>
          <button type="button" aria-pressed={!isRanked.value} onClick={() => pick(false)}>
            {t.feed.plain}
          </button>
        </div>
      }
    >
      {me.value?.skills.length === 0 && (
        <Notice
          kind="info"
          action={
            <a class="button plain" href="/app/profile">
              {t.feed.addSkills}
            </a>
          }
        >
          {t.feed.noSkills}
        </Notice>
      )}
      {limited.value && (
        <Notice
          kind="info"
          action={
            tierOf(me.value) === 'gold' ? undefined : (
              <a class="button plain" href="/app/membership">
                {t.membership.nav}
              </a>
            )
          }
        >
          {limited.value}
        </Notice>
      )}
      {error !== undefined && <Failed error={error} again={() => void feed.load()} />}
      {shown === undefined && isLoading && <Skeleton kind="card" count={3} />}
      {shown?.length === 0 && !value?.hasMore && (
        <Empty
          icon="discover"
          title={t.feed.none}
          action={
            <Button kind="primary" isBusy={isLoading} onPress={() => void feed.load()}>
              {t.feed.look}
            </Button>
          }
        >
          {isRanked.value ? t.feed.noneRanked : t.feed.nonePlain}
        </Empty>
      )}
      <ul class="cards" ref={list}>
        {shown?.map((user) => (
          <li key={user._id}>
            <Card user={user} list={list} />
          </li>
        ))}
      </ul>
      {value?.hasMore && shown !== undefined && (
        <div class="more">
          <Button
            isBusy={isLoadingCards.value}
            onPress={() => void moreCards().catch((error) => toast(problem(error), { isError: true }))}
          >
            {t.more}
          </Button>
        </div>
      )}
    </Page>
  );
}

function Card({ user, list }: { user: FeedUser; list: { current: HTMLUListElement | null } }) {
  const name = firstName(user);
  const act = async (status: 'interested' | 'ignore', event: MouseEvent) => {
    // The card goes away, and with it the button that has the focus: the one beside it takes over.
    const item = (event.currentTarget as Element).closest('li');
    const beside = item?.nextElementSibling ?? item?.previousElementSibling;
    const target =
      beside?.querySelector<HTMLElement>('h2') ?? list.current?.closest('.page')?.querySelector<HTMLElement>('h1');
    const done = judge(user, status);
    target?.focus();
    try {
      await done;
      if (status === 'interested') limited.value = undefined;
      announce(status === 'interested' ? t.feed.asked(name) : t.feed.ignored(name));
    } catch (error) {
      const isLimit = error instanceof ApiError && error.status === 429 && typeof error.body['limit'] === 'number';
      if (isLimit)
        limited.value = t.feed.limit(
          Number(error.body['limit']),
          error.retryAfter ? wait(error.retryAfter) : undefined,
        );
      toast(isLimit ? t.feed.notAsked(name) : `${t.feed.notAsked(name)} ${problem(error)}`, { isError: true });
    }
  };
  return (
    <PersonCard user={user}>
      <Button kind="primary" label={t.feed.connectWith(name)} onPress={(event) => void act('interested', event)}>
        {t.feed.connect}
      </Button>
      <Button kind="quiet" label={t.feed.passOn(name)} onPress={(event) => void act('ignore', event)}>
        {t.feed.pass}
      </Button>
    </PersonCard>
  );
}
