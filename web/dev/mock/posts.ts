/** Posts, and what they can name: tools and models. */
import type { PostBody, PostPatch } from "../../.client";
import { now, type State } from "./state.ts";
import { answer, type Call, found, page, Refused, type Routes } from "./wire.ts";

export function postRoutes(house: State): Routes {
  return {
    "GET /posts": ({ query }: Call) => page(house.posts, query),
    "POST /posts": ({ body }: Call<PostBody>) =>
      answer(201, Object.assign(house.addPost(body.name), body)),
    "GET /posts/{post_id}": ({ path }: Call) => found(house.posts, path.post_id),
    "PATCH /posts/{post_id}": ({ path, body }: Call<PostPatch>) => {
      const post = found(house.posts, path.post_id);
      if (body.name === "") {
        const errors = [{ field: "name", message: "A post needs a name." }];
        throw new Refused(422, "invalid", "A field is not valid.", { errors });
      }
      return Object.assign(post, body, { version: post.version + 1, updated_at: now() });
    },
    "DELETE /posts/{post_id}": ({ path }: Call) => {
      const followers = house.agents.filter((agent) => agent.post.id === path.post_id).length;
      if (followers > 0) {
        const hint = "Give them another post or delete them first.";
        throw new Refused(409, "post-in-use", `${followers} agents follow this post.`, { hint });
      }
      house.posts = house.posts.filter((post) => post.id !== path.post_id);
    },
    "GET /tools": () => ({ items: house.tools }),
    "GET /models": () => ({ items: house.models, default: "demo" }),
  };
}
