// What the host answers, field by field. An earlier database may hold null or nothing where today's has a value.

/** Of a membership; whatever else is stored counts as `free`. */
export type Tier = 'free' | 'silver' | 'gold';

/** A member as others see one. */
export interface SafeUser {
  _id: string;
  firstName?: string | null;
  lastName?: string | null;
  photoUrl?: string | null;
  age?: number | null;
  gender?: string | null;
  about?: string | null;
  skills: (string | null)[];
  isPremium: boolean;
  membershipTier: string;
}

/** Which mails a member wants. */
export interface EmailPreferences {
  welcomeEmail: boolean;
  connectionRequests: boolean;
  loginSuggestions: boolean;
  marketingEmails: boolean;
}

/** A member as the member sees it. */
export interface OwnUser extends SafeUser {
  emailId: string;
  emailPreferences: EmailPreferences;
  premiumActivatedAt?: string | null;
  createdAt?: string | null;
}

/** What may be changed of a profile; what is not there stays as it is. */
export interface ProfileChanges {
  firstName?: string;
  lastName?: string;
  emailId?: string;
  photoUrl?: string;
  gender?: string;
  age?: number;
  about?: string;
  skills?: string[];
}

/** The parts of a score, each 0 to 1. */
export interface ScoreBreakdown {
  jaccard: number;
  cosine: number;
  complementary: number;
  diversity: number;
  experience: number;
}

/** A member of the feed. The scores are there in the ranked one only. */
export interface FeedUser extends SafeUser {
  /** 0 to 1. */
  recommendationScore?: number;
  recommendationReasoning?: string[];
  scoreBreakdown?: ScoreBreakdown;
}

export interface Feed {
  data: FeedUser[];
  recommendations: {
    totalAvailable: number;
    mlProcessed: number;
    returned: number;
    highMatch: number;
    page: number;
    hasMore: boolean;
  };
}

/** What a request shows of the other one. */
export type Person = Pick<SafeUser, '_id' | 'firstName' | 'lastName' | 'photoUrl'>;

interface Request<From, To> {
  _id: string;
  fromUserId: From;
  toUserId: To;
  status: string;
  createdAt?: string | null;
}

export type ConnectionRequest = Request<string, string>;
export type ReceivedRequest = Request<Person, string>;
export type SentRequest = Request<string, Person>;

export interface Page<Row> {
  data: Row[];
  hasMore?: boolean;
}

/** A message of the history. */
export interface StoredMessage {
  _id: string;
  fromUserId: string;
  toUserId: string;
  text?: string | null;
  ts?: string | null;
  deliveredAt?: string | null;
  readAt?: string | null;
}

/** A message as the socket brings it. */
export interface LiveMessage {
  _id: string;
  fromUserId: string;
  toUserId: string;
  message: string;
  /** Milliseconds since 1970. */
  ts: number;
  clientId?: string;
}

export interface Notification {
  _id: string;
  type?: string | null;
  fromUserId?: string;
  message?: string | null;
  count: number;
  createdAt?: string | null;
  readAt?: string | null;
}

/** A log-in that lasts. */
export interface Session {
  id: string;
  createdAt: string;
  expiresAt: string;
  /** It is the one of this browser. */
  current?: boolean;
}

/** All that is held of a member, or a part of it; `next` leads to the part behind it. */
export type Exported = { next?: string } & Record<string, unknown>;

/** The socket's answer to whoever asked for one. */
export type Ack<Fields = object> = ({ ok: true } & Fields) | { ok: false; message: string };
